"""What Placement should know of a deployable. Pure: from the record to the desired state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Says that a provider is ours: others leave it alone, and we leave alone what lacks it.
OWNER_TRAIT = "OWNER_CYBORG"

_OWNER_PREFIX = "OWNER_"

TRAIT_NAME = re.compile(r"[A-Z0-9_]{1,255}\Z")

#: An attribute whose key begins so has the name of a trait for its value.
TRAIT_KEY = "trait"

Inventories = Mapping[str, Mapping[str, int | float]]


@dataclass(frozen=True, slots=True)
class RecordedProvider:
    """A deployable, as far as Placement is concerned."""

    uuid: str
    name: str
    #: Name of the compute node's provider, which is the parent.
    host: str
    resource_class: str
    total: int
    #: Handles that cannot be given out, though no allocation says so: being cleaned, unclean,
    #: quarantined, bound without Nova, left over, or given out in another shape.
    unavailable: int
    #: False while the device is disabled, missing or failed, the deployable is being programmed, or
    #: what it holds is not known.
    offered: bool
    #: Values of all attributes that name a trait.
    traits: frozenset[str]


def desired_inventories(provider: RecordedProvider) -> Inventories:
    """Return the inventories that a provider should have.

    All of it is reserved while it is not offered: allocations that exist may stay, and none
    is added. Nothing at all is no inventory, since Placement knows no total of 0.
    """
    if provider.total < 1:
        return {}
    unavailable = provider.unavailable if provider.offered else provider.total
    return {
        provider.resource_class: {
            "total": provider.total,
            "reserved": min(unavailable, provider.total),
            "min_unit": 1,
            "max_unit": provider.total,
            "step_size": 1,
            "allocation_ratio": 1.0,
        }
    }


def desired_traits(provider: RecordedProvider) -> frozenset[str]:
    """Return the traits that a provider should have."""
    return traits_of(provider.traits)


def traits_of(values: Iterable[str]) -> frozenset[str]:
    """Return what the values of its attributes make a provider's traits.

    Never one that gives it another owner.
    """
    wanted = {name for name in values if TRAIT_NAME.match(name)}
    return frozenset({OWNER_TRAIT, *(n for n in wanted if not n.startswith(_OWNER_PREFIX))})


def all_reserved(found: Inventories) -> Inventories:
    """Return inventories that no new allocation can use."""
    return {
        name: {**inventory, "reserved": inventory["total"]} for name, inventory in found.items()
    }


def belongs_to_another(traits: frozenset[str]) -> bool:
    """Return whether a provider's traits say that another service owns it."""
    return any(name.startswith(_OWNER_PREFIX) and name != OWNER_TRAIT for name in traits)
