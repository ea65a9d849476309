"""The life of an accelerator request (ARQ): one table, and nothing beside it.

Every change of state in the database is a conditional UPDATE whose condition
comes from :func:`sources_of`, so that a forbidden change cannot be written.
"""

from __future__ import annotations

import enum


class ArqState(enum.StrEnum):
    """States by their names on the wire."""

    INITIAL = "Initial"
    BIND_STARTED = "BindStarted"
    BOUND = "Bound"
    BIND_FAILED = "BindFailed"
    UNBOUND = "Unbound"
    UNBIND_FAILED = "UnbindFailed"
    DELETING = "Deleting"


_S = ArqState

TRANSITIONS: dict[ArqState, frozenset[ArqState]] = {
    _S.INITIAL: frozenset({_S.BIND_STARTED, _S.BOUND, _S.DELETING}),
    _S.BIND_STARTED: frozenset({_S.BOUND, _S.BIND_FAILED, _S.UNBOUND, _S.DELETING}),
    _S.BOUND: frozenset({_S.UNBOUND, _S.UNBIND_FAILED, _S.DELETING}),
    _S.BIND_FAILED: frozenset({_S.UNBOUND, _S.DELETING}),
    _S.UNBOUND: frozenset({_S.BIND_STARTED, _S.BOUND, _S.DELETING}),
    _S.UNBIND_FAILED: frozenset({_S.UNBOUND, _S.DELETING}),
    _S.DELETING: frozenset(),
}

#: What Nova, and ``bind_state=resolved``, take for the end of a bind.
RESOLVED = frozenset({_S.BOUND, _S.BIND_FAILED, _S.DELETING})

#: States from which a bind may begin.
BINDABLE = frozenset({_S.INITIAL, _S.UNBOUND})

#: States in which an ARQ may own an attach handle.
HOLDING = frozenset({_S.BIND_STARTED, _S.BOUND, _S.BIND_FAILED, _S.UNBIND_FAILED, _S.DELETING})


def may_become(source: ArqState, target: ArqState) -> bool:
    """Return whether the table has an edge from ``source`` to ``target``."""
    return target in TRANSITIONS[source]


def sources_of(target: ArqState) -> frozenset[ArqState]:
    """Return every state from which ``target`` may be reached in one change."""
    return frozenset(source for source in ArqState if may_become(source, target))
