"""The life of an accelerator request (ARQ): every state that there is, in one table.

A state is what the database holds. What users and Nova see is the state that it
:attr:`~ArqState.shows`: Nova acts on the six names of the API's contract, and a name more, or
one too early, would start a server without its device.

Every change of state in the database is a conditional UPDATE whose condition comes from
:func:`sources_of`, so that a forbidden change cannot be written. Sets of states below are the
only place where a group of them gets a meaning.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol


class ArqState(enum.StrEnum):
    """States by their names in the database; those of :data:`VISIBLE` are the wire's too."""

    INITIAL = "Initial"
    """Made from a profile, bound to nothing. Nova: to be bound. Operator: no device is held;
    one that is never bound expires."""

    BIND_STARTED = "BindStarted"
    """A handle is taken and its agent prepares it. Nova: not resolved, it waits for the event.
    Operator: a job is under way, and ends by its answer or its deadline."""

    BIND_FAILING = "BindFailing"
    """The bind has failed, and Nova is being told again and again. Shows ``BindStarted``: Nova
    would take ``BindFailed`` for resolved and start the server without its device. Operator: the
    handle is kept, and may be half prepared; ``state_reason`` says what went wrong."""

    BOUND = "Bound"
    """The instance has the handle. Nova: resolved, the handle goes to the hypervisor. Operator:
    the device is in use."""

    BIND_FAILED = "BindFailed"
    """The bind has failed for good. Nova: resolved, without a device. Operator: the handle is
    kept until the ARQ is unbound or deleted, which releases it."""

    BIND_CANCELLING = "BindCancelling"
    """Unbound before the bind had ended, or while it was failing; the agent releases the handle.
    Shows ``BindStarted``. Nova: not resolved. Operator: a release is under way."""

    UNBINDING = "Unbinding"
    """Unbound; the agent releases the handle. Shows ``Bound`` until that has worked. Nova: still
    resolved. Operator: a release is under way, and the handle is reserved in Placement."""

    BIND_CLEARING = "BindClearing"
    """Unbound after its bind had failed; the agent releases the handle. Shows ``BindFailed``.
    Nova: resolved, without a device. Operator: a release is under way."""

    UNBOUND = "Unbound"
    """Was bound, and holds nothing any more. Nova: can be bound anew. Operator: no device is
    held."""

    UNBIND_FAILED = "UnbindFailed"
    """The release of an unbind has failed for good; instance and handle are kept. Nova: not
    resolved. Operator: look at the device, then unbind again, or delete."""

    UNBIND_RETRYING = "UnbindRetrying"
    """Unbound once more after a failed unbind. Shows ``UnbindFailed``. Nova: not resolved.
    Operator: a release is under way."""

    DELETING = "Deleting"
    """Deleted; the agent releases the handle. Nova and users: it is not there. Operator: a
    release is under way, and the handle is reserved in Placement."""

    shows: ArqState
    """The state that users and Nova see."""


_S = ArqState

_SHOWS: Mapping[ArqState, ArqState] = {
    _S.BIND_FAILING: _S.BIND_STARTED,
    _S.BIND_CANCELLING: _S.BIND_STARTED,
    _S.UNBINDING: _S.BOUND,
    _S.BIND_CLEARING: _S.BIND_FAILED,
    _S.UNBIND_RETRYING: _S.UNBIND_FAILED,
}

for _state in ArqState:
    # Set once: a list of 10,000 requests reads it 20,000 times.
    _state.shows = _SHOWS.get(_state, _state)

TRANSITIONS: Mapping[ArqState, frozenset[ArqState]] = {
    _S.INITIAL: frozenset({_S.BIND_STARTED, _S.BOUND, _S.DELETING}),
    _S.BIND_STARTED: frozenset(
        {_S.BOUND, _S.BIND_FAILING, _S.BIND_FAILED, _S.BIND_CANCELLING, _S.DELETING}
    ),
    _S.BIND_FAILING: frozenset({_S.BIND_FAILED, _S.BIND_CANCELLING, _S.UNBOUND, _S.DELETING}),
    _S.BOUND: frozenset({_S.UNBINDING, _S.UNBOUND, _S.DELETING}),
    _S.BIND_FAILED: frozenset({_S.BIND_CLEARING, _S.UNBOUND, _S.DELETING}),
    _S.BIND_CANCELLING: frozenset({_S.UNBOUND, _S.BIND_FAILED, _S.DELETING}),
    _S.UNBINDING: frozenset({_S.UNBOUND, _S.UNBIND_FAILED, _S.DELETING}),
    _S.BIND_CLEARING: frozenset({_S.UNBOUND, _S.BIND_FAILED, _S.DELETING}),
    _S.UNBOUND: frozenset({_S.BIND_STARTED, _S.BOUND, _S.DELETING}),
    _S.UNBIND_FAILED: frozenset({_S.UNBIND_RETRYING, _S.UNBOUND, _S.DELETING}),
    _S.UNBIND_RETRYING: frozenset({_S.UNBOUND, _S.UNBIND_FAILED, _S.DELETING}),
    _S.DELETING: frozenset(),
}

#: What a state becomes when its ARQ is unbound and its handle must be released first.
UNBINDING_FROM: Mapping[ArqState, ArqState] = {
    _S.BIND_STARTED: _S.BIND_CANCELLING,
    _S.BIND_FAILING: _S.BIND_CANCELLING,
    _S.BOUND: _S.UNBINDING,
    _S.BIND_FAILED: _S.BIND_CLEARING,
    _S.UNBIND_FAILED: _S.UNBIND_RETRYING,
}

#: What it becomes when that release has failed for good.
UNBIND_FAILS_AS: Mapping[ArqState, ArqState] = {
    _S.BIND_CANCELLING: _S.BIND_FAILED,
    _S.UNBINDING: _S.UNBIND_FAILED,
    _S.BIND_CLEARING: _S.BIND_FAILED,
    _S.UNBIND_RETRYING: _S.UNBIND_FAILED,
}

#: An agent releases the handle.
RELEASING = frozenset({*UNBIND_FAILS_AS, _S.DELETING})

#: An agent is at work on the handle: a job is there.
AT_WORK = RELEASING | {_S.BIND_STARTED}

#: A bind that has come to its end well, or is on the way.
BOUND_OR_BINDING = frozenset({_S.BOUND, _S.BIND_STARTED})

#: States from which a bind may begin.
BINDABLE = frozenset({_S.INITIAL, _S.UNBOUND})

#: States in which an ARQ owns an attach handle.
HOLDING = frozenset(set(ArqState) - BINDABLE)

#: Names that are seen on the wire, in the order of the contract.
VISIBLE = tuple(state for state in ArqState if state.shows is state and state is not _S.DELETING)


class Suspicion(enum.StrEnum):
    """What an ARQ that holds a device goes through when nobody seems to need it."""

    NONE = "none"
    """It is needed, as far as anybody knows."""

    DOUBTFUL = "doubtful"
    """Its instance has no allocation, and is on that very host: the guest may have the device,
    so it is never released."""

    GRACE = "grace"
    """Its instance has no allocation and is not there; the grace period runs."""

    LEFT_OVER = "left_over"
    """The same, and the grace period is over. Never stored: it is ``GRACE`` and the time."""


class Placed(Protocol):
    """The fields of an ARQ on which it depends whether its handle is reserved in Placement."""

    @property
    def state(self) -> ArqState:
        """Where it stands."""

    @property
    def bound_by_service(self) -> bool:
        """Nova has bound it, and has an allocation for it."""

    @property
    def suspicion(self) -> Suspicion:
        """Whether the allocation is there."""


#: The handle of an ARQ is reserved in Placement if any of these fields has any of these values:
#: no allocation stands for it, or not for long. Both :func:`is_reserved` and the SQL of
#: ``cyborg.db.providers`` come from it.
RESERVED_IF: Mapping[str, frozenset[object]] = {
    "state": (RELEASING | {_S.BIND_FAILING, _S.BIND_FAILED, _S.UNBIND_FAILED}),
    "bound_by_service": frozenset({False}),
    "suspicion": frozenset(set(Suspicion) - {Suspicion.NONE}),
}


def is_reserved(arq: Placed) -> bool:
    """Return whether the handle that an ARQ owns is reserved in Placement."""
    return any(getattr(arq, name) in values for name, values in RESERVED_IF.items())


def showing(*shown: ArqState) -> frozenset[ArqState]:
    """Return every state that shows one of these."""
    return frozenset(state for state in ArqState if state.shows in shown)


#: What Nova, and ``bind_state=resolved``, take for the end of a bind.
RESOLVED = showing(_S.BOUND, _S.BIND_FAILED, _S.DELETING)


def may_become(source: ArqState, target: ArqState) -> bool:
    """Return whether the table has an edge from ``source`` to ``target``."""
    return target in TRANSITIONS[source]


def sources_of(target: ArqState) -> frozenset[ArqState]:
    """Return every state from which ``target`` may be reached in one change."""
    return frozenset(source for source in ArqState if may_become(source, target))
