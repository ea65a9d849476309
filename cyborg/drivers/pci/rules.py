"""Why an allowed function is not offered: a rule for each reason, in the words that people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cyborg.drivers.host.pci import is_vfio, said
from cyborg.drivers.pci.survey import Candidate, Survey

#: Classes of what keeps what is written to it.
_KEEPING = {"01": "drive", "05": "memory"}
_NETWORK = "02"

#: Says why a function is not offered; None if this is no reason not to.
Rule = Callable[[Survey, Candidate], str | None]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What becomes of each allowed function, in the order of their addresses."""

    offered: Mapping[str, Candidate]
    #: With the reason.
    left_out: Mapping[str, tuple[Candidate, str]]
    #: What is no card at all, with the reason.
    never: Mapping[str, str]


def decide(found: Survey) -> Decisions:
    """Decide about all allowed functions of a host."""
    offered: dict[str, Candidate] = {}
    left_out: dict[str, tuple[Candidate, str]] = {}
    #: The first of each card that is offered.
    first: dict[str, Candidate] = {}
    never: dict[str, str] = {}
    for candidate in found.candidates():
        no_card = _no_card(found, candidate)
        if no_card is not None:
            never[candidate.address] = no_card
            continue
        try:
            reason = reason_alone(found, candidate) or _beside(found, candidate, offered, first)
        except OSError as error:
            found.unreadable[candidate.address] = said(error)
            continue
        if reason is None:
            offered[candidate.address] = candidate
            first.setdefault(candidate.function.card, candidate)
        else:
            left_out[candidate.address] = (candidate, reason)
    return Decisions(offered, left_out, never)


def reason_alone(found: Survey, candidate: Candidate) -> str | None:
    """Return why a function is not offered, whatever else is.

    :raises OSError: that cannot be told.
    """
    return next((why for rule in _RULES if (why := rule(found, candidate)) is not None), None)


def _beside(
    found: Survey,
    candidate: Candidate,
    offered: Mapping[str, Candidate],
    first: Mapping[str, Candidate],
) -> str | None:
    """Return why a function is not offered, since others are."""
    # The first of those of one slot in one group is offered: a graphics card without its sound.
    for address in found.mates(candidate.function):
        if address in offered:
            return f"{address} of its IOMMU group is offered, and a group is given to one"
    other = first.get(candidate.function.card)
    if other is None or other.entry.offers_the_same(candidate.entry):
        return None
    return (
        f"entry {candidate.entry.number} allows it with another class or traits than entry "
        f"{other.entry.number} does {other.address} of the same card"
    )


def _contradiction(_found: Survey, candidate: Candidate) -> str | None:
    first, *others = candidate.entries
    for other in others:
        if not other.offers_the_same(first):
            return (
                f"entries {first.number} and {other.number} allow it with different classes or "
                "traits"
            )
    return None


def _no_card(_found: Survey, candidate: Candidate) -> str | None:
    if candidate.function.is_bridge:
        return "a bridge"
    return "boot display" if candidate.details.is_boot_display else None


def _virtual_functions(found: Survey, candidate: Candidate) -> str | None:
    if candidate.address not in found.virtual_functions:
        return None
    return "it has virtual functions, which can be offered in its place"


def _no_physical_function(found: Survey, candidate: Candidate) -> str | None:
    physical = candidate.function.physical_function
    if physical is None or physical in found.bus.functions:
        return None
    return f"its physical function {physical} is away, or cannot be read"


def _no_iommu(_found: Survey, candidate: Candidate) -> str | None:
    return "no IOMMU" if candidate.function.iommu_group is None else None


def _data(found: Survey, candidate: Candidate) -> str | None:
    kind = _KEEPING.get(candidate.function.class_code[:2])
    if kind is None:
        return None
    if candidate.entry.keeps_data:
        return found.in_use.disk(candidate.address)
    return (
        f"a {kind} keeps what is written to it, which no reset erases: offered only where its "
        'entry says "keeps_data": "allowed"'
    )


def _traffic(found: Survey, candidate: Candidate) -> str | None:
    driver = candidate.function.driver
    if not candidate.function.class_code.startswith(_NETWORK) or driver is None or is_vfio(driver):
        return None
    return found.in_use.port(candidate.address)


def _group(found: Survey, candidate: Candidate) -> str | None:
    """A guest gets a whole group: nothing else of it may be anybody's."""
    for address in found.mates(candidate.function):
        mate = found.bus.functions.get(address)
        if mate is None:
            return f"{address} of its IOMMU group cannot be read"
        if mate.blocks_its_group:
            return f"{address} of its IOMMU group is in use by {mate.driver}"
    for mate in found.cards_beside(candidate.function):
        if mate.slot != candidate.function.slot:
            return f"its IOMMU group is shared with {mate.address}"
    return None


def _no_reset(_found: Survey, candidate: Candidate) -> str | None:
    if candidate.details.reset_methods or candidate.entry.no_reset:
        return None
    return "no reset method"


#: In the order in which an operator would ask.
_RULES: tuple[Rule, ...] = (
    _contradiction,
    _no_card,
    _virtual_functions,
    _no_physical_function,
    _no_iommu,
    _data,
    _traffic,
    _group,
    _no_reset,
)
