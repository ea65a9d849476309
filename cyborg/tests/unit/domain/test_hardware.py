"""Which piece of hardware a handle is, and that no more is taken of it than there is."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.hardware import (
    MAX_CAPACITY,
    MAX_KEY,
    PCI_ADDRESS,
    Share,
    Sharing,
    address_of,
    canonical_info,
    canonical_key,
    default_shares,
    is_address,
    key_of,
    mediated_alternatives,
    same_identity,
    sharing_of,
    takeable,
)


def at(domain: str, bus: str, device: str, function: str, **more: str) -> dict[str, str]:
    """Return info of a handle at an address."""
    return {
        **dict(zip(PCI_ADDRESS, (domain, bus, device, function), strict=True)),
        **more,
    }


# Spelling

ADDRESSES = st.tuples(
    st.integers(0, 0xFFFFFFFF), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7)
)


@given(address=ADDRESSES, seed=st.randoms(use_true_random=False))
def test_however_it_is_spelt_a_function_has_one_key_and_one_info(
    address: tuple[int, int, int, int], seed: random.Random
) -> None:
    def spelt(value: int, width: int) -> str:
        text = f"{value:0{seed.randint(1, width)}x}"
        return seed.choice([text, text.upper()])

    spellings = [
        at(*(spelt(value, width) for value, width in zip(address, (8, 2, 2, 1), strict=True)))
        for _ in range(2)
    ]
    one, other = (canonical_info("PCI", info) for info in spellings)
    assert one == other == canonical_info("PCI", one)
    assert key_of("PCI", one) == key_of("PCI", other) == address_of(spellings[0])
    domain, bus, device, function = address
    assert address_of(one) == f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"
    assert [int(one[name], 16) for name in PCI_ADDRESS] == list(address)
    # As an identity, or as the name of a counter, it is the same address.
    assert canonical_key(address_of(one).upper()) == address_of(one)
    assert is_address(address_of(one))


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({}, "no domain"),
        (at("0000", "42", "00", ""), "function is ''"),
        ({"domain": "0000", "bus": "42", "device": "00"}, "no function"),
        (at("0000", "42", "00", "8"), "function is '8'"),
        (at("0000", "42", "00", "00"), "function is '00'"),
        (at("0000", "0001", "d6", "0"), "bus is '0001'"),
        (at("0000", "42", "20", "0"), "device is '20'"),
        (at("0000", "42", "d6", "0"), "device is 'd6'"),
        (at("0x0", "42", "00", "0"), "domain is '0x0'"),
        (at("123456789", "42", "00", "0"), "domain is"),
        (at("0000", "4_2", "00", "0"), "bus is"),
        (at("0000", " 2", "00", "0"), "bus is"),
        (at("0000", "42", "00", "0\n"), "function is"),
        (at("0000", "\uff14\uff12", "00", "0"), "bus is"),
        (at("0000", "4" * 100, "00", "0"), r"bus is '4{40}'$"),
    ],
)
@pytest.mark.parametrize("kind", ["PCI", "TEST_PCI", "MDEV"])
def test_what_is_no_address(kind: str, info: Mapping[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical_info(kind, {**info, "asked_type": "t"})


@pytest.mark.parametrize(
    "asked_type", ["", "a b", "../x", "a/b", "x" * 65, "type\n", "a\x00", "\xe9"]
)
def test_what_is_no_type_of_mediated_devices(asked_type: str) -> None:
    with pytest.raises(ValueError, match="asked_type"):
        canonical_info("MDEV", at("0000", "42", "00", "0", asked_type=asked_type))


def test_what_else_the_info_has_stays_as_it_is() -> None:
    info = at("0", "AF", "0", "1", physical_network="Net-A", managed="yes")
    after = canonical_info("PCI", info)
    assert after == at("0000", "af", "00", "1", physical_network="Net-A", managed="yes")
    assert canonical_info("TEST_PCI", info) == {**info, "bus": "af"}
    assert canonical_info("NVME", {"Path": "/Dev"}) == {"Path": "/Dev"}


@pytest.mark.parametrize(
    ("kind", "info", "declared", "key"),
    [
        ("PCI", at("0000", "42", "00", "0"), "", "0000:42:00.0"),
        ("PCI", at("0000", "42", "00", "0"), "00000000:42:0.0", "0000:42:00.0"),
        ("PCI", at("10001", "8a", "00", "0"), "", "10001:8a:00.0"),
        ("TEST_PCI", at("0", "42", "0", "0"), "", "test/0000:42:00.0"),
        ("TEST_PCI", at("0", "42", "0", "0"), "TEST/0000:42:00.0", "test/0000:42:00.0"),
        ("MDEV", at("0", "42", "0", "0", asked_type="T-1"), "", "0000:42:00.0/t-1/"),
        (
            "MDEV",
            at("0", "42", "0", "0", asked_type="T-1", mark="A"),
            "",
            '0000:42:00.0/t-1/{"mark":"a"}',
        ),
        ("MDEV", at("0", "42", "0", "0", asked_type="t"), " Slice 3 ", "slice 3"),
        ("NVME", {"path": "/dev/x"}, "", 'nvme/{"path":"/dev/x"}'),
        ("NVME", {"path": "/dev/x"}, "EUI.00", "eui.00"),
    ],
)
def test_keys(kind: str, info: dict[str, str], declared: str, key: str) -> None:
    found = key_of(kind, canonical_info(kind, info), declared)
    assert found == key
    assert key_of(kind, canonical_info(kind, info), found) == found


def test_a_key_does_not_depend_on_what_may_change() -> None:
    one = canonical_info("PCI", at("0", "af", "0", "1", physical_network="a"))
    other = canonical_info("PCI", at("0", "af", "0", "1", physical_network="b", managed="yes"))
    assert key_of("PCI", one) == key_of("PCI", other)


@pytest.mark.parametrize(
    ("kind", "info", "declared", "reason"),
    [
        ("PCI", at("0", "42", "0", "0"), "0000:43:00.0", "said to be 0000:43:00.0 and is at"),
        ("TEST_PCI", at("0", "42", "0", "0"), "0000:42:00.0", "and is at test/0000:42:00.0"),
        ("NVME", {"path": "x" * 250}, "", f"more than {MAX_KEY}"),
        # Small letters may be more than capitals.
        ("NVME", {"path": "x"}, "\u0130" * MAX_KEY, f"more than {MAX_KEY}"),
    ],
)
def test_what_is_no_key(kind: str, info: dict[str, str], declared: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        key_of(kind, info, declared)


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("0000:42:00.0", True),
        (" 00000000:C8:0.0 ", True),
        ("compute-1_0000:42:00.0", True),
        ("test/0000:42:00.0", True),
        ("GPU-5e2a-0000-42", False),
        ("0324ab", False),
        ("", False),
        ("42:00.0", False),
        ("0000:42:00.8", False),
        ("0000:42:20.0", False),
        ("0000:42:00.0/nvidia-223/1", False),
        ("f:0000:42:00.0", False),
    ],
)
def test_what_says_where_and_not_which(identity: str, said: bool) -> None:
    assert is_address(identity) is said


def test_identities_are_equal_in_any_spelling() -> None:
    assert same_identity("GPU-5E2A ") == same_identity("gpu-5e2a")
    assert same_identity("0000:C8:0.0") == same_identity("00000000:c8:00.0")
    assert same_identity("GPU-5e2a") != same_identity("GPU-5e2b")


# Shares


@dataclass(frozen=True)
class Occupant:
    """A handle as far as its shares are concerned."""

    key: str
    shares: tuple[Share, ...]


def test_what_a_handle_occupies_by_its_nature() -> None:
    info = canonical_info("MDEV", at("0", "42", "0", "0", asked_type="t"))
    assert default_shares("MDEV", info, "k", 4) == (Share("0000:42:00.0", 1, 4),)
    assert default_shares("MDEV", info, "k", 0) == (Share("0000:42:00.0", 1, 1),)
    assert default_shares("PCI", info, "0000:42:00.0", 1) == (Share("0000:42:00.0"),)
    assert default_shares("NVME", {}, "eui.00", 1) == (Share("eui.00"),)


def test_how_many_mediated_devices_there_are() -> None:
    one, two = (at("0", "42", "0", "0", asked_type=kind) for kind in ("one", "two"))
    elsewhere = at("0", "43", "0", "0", asked_type="one")
    found = mediated_alternatives(
        [("MDEV", one), ("MDEV", one), ("MDEV", two), ("MDEV", elsewhere), ("PCI", one)]
    )
    assert found == {"0000:42:00.0/one": 2, "0000:42:00.0/two": 1, "0000:43:00.0/one": 1}


def test_what_nobody_contends_for_is_not_counted() -> None:
    functions = [Occupant(f"f{n}", (Share(f"f{n}"), Share("card", 1, 4))) for n in range(4)]
    assert sharing_of(functions) == Sharing()
    assert sharing_of([]) == Sharing()


def test_a_card_and_its_parts_contend() -> None:
    whole = Occupant("pf", (Share("pf"),))
    parts = [Occupant(f"vf{n}", (Share(f"vf{n}"), Share("pf", 1, 4))) for n in range(4)]
    found = sharing_of([whole, *parts])
    assert found.capacities == {"pf": 4}
    assert found.amounts == {"pf": {"pf": 4}, **{f"vf{n}": {"pf": 1} for n in range(4)}}


def test_two_ways_to_cut_a_card_are_counted_in_parts_of_both() -> None:
    thirds = [Occupant(f"a{n}", (Share("card", 1, 3),)) for n in range(3)]
    halves = [Occupant(f"b{n}", (Share("card", 1, 2),)) for n in range(2)]
    found = sharing_of([*thirds, *halves])
    assert found.capacities == {"card": 6}
    assert found.amounts["a0"] == {"card": 2}
    assert found.amounts["b0"] == {"card": 3}


def test_what_has_no_common_measure_is_rounded_so_that_too_little_is_given() -> None:
    # No two of these have a divisor in common.
    capacities = [MAX_CAPACITY - 1, MAX_CAPACITY - 3, MAX_CAPACITY - 5]
    handles = [
        Occupant(f"h{n}", (Share("card", size // 2 + 1, size),))
        for n, size in enumerate(capacities)
    ]
    found = sharing_of(handles)
    assert found.capacities == {"card": MAX_CAPACITY}
    assert all(amounts["card"] > MAX_CAPACITY // 2 for amounts in found.amounts.values())


COUNTERS = st.sampled_from(["card", "memory", "group"])


@st.composite
def shares(draw: st.DrawFn) -> Share:
    capacity = draw(st.one_of(st.integers(1, 12), st.integers(MAX_CAPACITY - 50, MAX_CAPACITY)))
    return Share(draw(COUNTERS), draw(st.integers(1, capacity)), capacity)


OCCUPANTS = st.lists(
    st.lists(shares(), min_size=1, max_size=3, unique_by=lambda share: share.counter), max_size=12
).map(lambda lists: [Occupant(f"h{n}", tuple(each)) for n, each in enumerate(lists)])


@given(occupants=OCCUPANTS, order=st.randoms(use_true_random=False), wanted=st.integers(0, 12))
def test_whatever_is_taken_never_exceeds_what_there_is(
    occupants: list[Occupant], order: random.Random, wanted: int
) -> None:
    """In several claims one after the other, in any order: by what each share really is."""
    sharing = sharing_of(occupants)
    names = {name: number for number, name in enumerate(sharing.capacities)}
    left = {names[name]: capacity for name, capacity in sharing.capacities.items()}
    rest = list(range(len(occupants)))
    order.shuffle(rest)
    taken: list[int] = []
    while rest:
        claimed, rest = rest[:3], rest[3:]
        candidates = [
            (
                number,
                {
                    names[name]: amount
                    for name, amount in sharing.amounts.get(occupants[number].key, {}).items()
                },
            )
            for number in claimed
        ]
        chosen, left = takeable(candidates, left, wanted)
        assert len(chosen) <= wanted
        assert [number for number in claimed if number in chosen] == chosen
        taken += chosen
    used: dict[str, Fraction] = {}
    for number in taken:
        for share in occupants[number].shares:
            used[share.counter] = used.get(share.counter, Fraction(0)) + share.fraction
    assert all(part <= 1 for part in used.values())
    assert all(room >= 0 for room in left.values())


@given(occupants=OCCUPANTS)
def test_the_first_can_always_be_taken(occupants: list[Occupant]) -> None:
    """Rounding never makes one handle more than all there is."""
    sharing = sharing_of(occupants)
    names = {name: number for number, name in enumerate(sharing.capacities)}
    room = {names[name]: capacity for name, capacity in sharing.capacities.items()}
    for occupant in occupants:
        amounts = sharing.amounts.get(occupant.key, {})
        chosen, _ = takeable([(1, {names[n]: amount for n, amount in amounts.items()})], room)
        assert chosen == [1]


def test_what_does_not_fit_is_passed_over() -> None:
    candidates = [(1, {7: 2}), (2, {7: 2}), (3, {7: 1}), (4, {}), (5, {8: 100})]
    assert takeable(candidates, {7: 3}) == ([1, 3, 4, 5], {7: 0})
    assert takeable(candidates, {7: 3}, wanted=2) == ([1, 3], {7: 0})
    assert takeable(candidates, {7: 3}, wanted=0) == ([], {7: 3})
    assert takeable(candidates, {7: 0}) == ([4, 5], {7: 0})


def test_the_room_that_is_given_is_not_changed() -> None:
    room = {7: 1}
    takeable([(1, {7: 1})], room)
    assert room == {7: 1}
