"""What Placement should know of a deployable, as values."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.providers import (
    OWNER_TRAIT,
    RecordedProvider,
    all_reserved,
    belongs_to_another,
    desired_inventories,
    desired_traits,
)

#: What Placement takes for a name.
VALID = re.compile(r"^[A-Z0-9_]{1,255}$")

good_names = st.from_regex(r"CUSTOM_[A-Z0-9_]{1,20}", fullmatch=True)
bad_names = st.sampled_from(
    ["", "custom_lower", "CUSTOM-DASH", "CUSTOM ", " CUSTOM", "CUSTOM_É", "A\n", "\nA", "A" * 256]
)
other_owners = st.sampled_from(["OWNER_NOVA", "OWNER_NEUTRON"])
providers = st.builds(
    RecordedProvider,
    uuid=st.just("uuid"),
    name=st.just("name"),
    host=st.just("host"),
    resource_class=st.sampled_from(["FPGA", "CUSTOM_NIC"]),
    total=st.integers(-1, 40),
    unavailable=st.integers(0, 50),
    offered=st.booleans(),
    traits=st.frozensets(good_names | bad_names | other_owners | st.text(max_size=30), max_size=6),
)


def provider(
    total: int = 4, unavailable: int = 0, offered: bool = True, traits: tuple[str, ...] = ()
) -> RecordedProvider:
    return RecordedProvider(
        "uuid", "name", "host", "FPGA", total, unavailable, offered, frozenset(traits)
    )


def test_all_of_an_inventory_is_written_out() -> None:
    """What Placement would fill in by itself, too, so that a comparison finds no difference."""
    assert desired_inventories(provider(4, 1)) == {
        "FPGA": {
            "total": 4,
            "reserved": 1,
            "min_unit": 1,
            "max_unit": 4,
            "step_size": 1,
            "allocation_ratio": 1.0,
        }
    }


@given(provider=providers)
def test_inventories(provider: RecordedProvider) -> None:
    found = desired_inventories(provider)
    if provider.total < 1:
        assert found == {}
        return
    [(name, inventory)] = found.items()
    assert name == provider.resource_class
    assert inventory["total"] == inventory["max_unit"] == provider.total
    assert 0 <= inventory["reserved"] <= inventory["total"]
    assert inventory["allocation_ratio"] == 1.0, "a device would be given to two"
    free = inventory["total"] - inventory["reserved"]
    if not provider.offered:
        assert free == 0
    else:
        assert free == max(0, provider.total - provider.unavailable)


def test_what_is_not_offered_is_reserved_to_the_last_one() -> None:
    assert desired_inventories(provider(4, 1, offered=False))["FPGA"]["reserved"] == 4


@given(provider=providers)
def test_traits(provider: RecordedProvider) -> None:
    found = desired_traits(provider)
    assert OWNER_TRAIT in found
    assert all(VALID.match(name) and not name.endswith("\n") for name in found)
    assert found - {OWNER_TRAIT} <= provider.traits
    assert not belongs_to_another(found), "we would take our own provider for somebody else's"


@given(traits=st.frozensets(good_names, max_size=6))
def test_every_valid_trait_is_wanted(traits: frozenset[str]) -> None:
    assert desired_traits(provider(traits=tuple(traits))) == traits | {OWNER_TRAIT}


@given(bad=bad_names | other_owners)
def test_a_bad_trait_spoils_no_other(bad: str) -> None:
    assert desired_traits(provider(traits=(bad, "CUSTOM_A"))) == {OWNER_TRAIT, "CUSTOM_A"}


@given(amounts=st.dictionaries(st.sampled_from("ABC"), st.tuples(st.integers(1), st.integers(0))))
def test_all_reserved(amounts: dict[str, tuple[int, int]]) -> None:
    found = {
        name: {"total": total, "reserved": min(reserved, total), "step_size": 1}
        for name, (total, reserved) in amounts.items()
    }
    made = all_reserved(found)
    assert set(made) == set(found)
    for name, inventory in made.items():
        assert inventory["reserved"] == inventory["total"] == found[name]["total"]
        assert inventory["step_size"] == 1
    assert all_reserved(made) == made


@given(traits=st.frozensets(good_names, max_size=3), ours=st.booleans())
def test_another_owner(traits: frozenset[str], ours: bool) -> None:
    mine = traits | {OWNER_TRAIT} if ours else traits
    assert not belongs_to_another(mine)
    assert belongs_to_another(mine | {"OWNER_NOVA"})
