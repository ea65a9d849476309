"""Rules for device profiles."""

from __future__ import annotations

import pytest

from cyborg.domain.errors import InvalidInput
from cyborg.domain.profiles import (
    MAX_UNITS,
    check_name,
    keys_without_effect,
    needs_known_classes,
    needs_programming,
    objection,
    parse_groups,
    units,
    without_resources,
)

UUID = "aaaaaaaa-1111-2222-3333-444444444444"


@pytest.mark.parametrize("name", ["a", "fpga-1_X", "x" * 255])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 256, "a b", "a%", "ä", "😀", "a\n", "a/b", None, 7, []])
def test_bad_names(name: object) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


def test_groups_are_stored_flat_as_strings_and_in_order() -> None:
    groups = parse_groups(
        [
            {"resources: FPGA ": 2, "trait:CUSTOM_A": "required", "accel:key": " v "},
            {"resources:CUSTOM_X": "01"},
        ]
    )
    assert groups == (
        {"resources:FPGA": "2", "trait:CUSTOM_A": "required", "accel:key": "v"},
        {"resources:CUSTOM_X": "1"},
    )


@pytest.mark.parametrize(
    "groups",
    [
        None,
        "text",
        {},
        [],
        [[]],
        [{}],
        [None],
        [{"resources:FPGA": None}],
        [{"resources:FPGA": True}],
        [{"resources:FPGA": []}],
        [{"resources:FPGA": "0"}],
        [{"resources:FPGA": "-1"}],
        [{"resources:FPGA": "1.7"}],
        [{"resources:FPGA": 1.7}],
        [{"resources:FPGA": "one"}],
        [{"resources:FPGA": "9" * 40}],
        [{"resources:FPGA": "١"}],  # noqa: RUF001 -- a digit, but not one of ours
        [{"resources:FPGA": str(MAX_UNITS + 1)}],
        [{"resources:FPGA": str(MAX_UNITS)}, {"resources:FPGA": "1"}],
        [{"resources:PCI_DEVICE": "1"}],
        [{"resources:VCPU": "1"}],
        [{"resources:CUSTOM_": "1"}],
        [{"resources:CUSTOM_lower": "1"}],
        [{"resources:": "1"}],
        [{"resources:FPGA": "1", "resources: FPGA": "1"}],
        [{"resources:FPGA": "1", "trait:HW_CPU_X86_VMX": "required"}],
        [{"resources:FPGA": "1", "trait:CUSTOM_A": "wanted"}],
        [{"resources:FPGA": "1", "trait:CUSTOM_A-B": "required"}],
        [{"resources:FPGA": "1", "accel:": "x"}],
        [{"resources:FPGA": "1", "accel: ": "x"}],
        [{"resources:FPGA": "1", "accel:bitstream_id": "x"}],
        [{"resources:FPGA": "1", "accel:bitstream_id": ""}],
        [{"resources:FPGA": "1", "accel:bitstream_id": UUID[:-1]}],
        [{"resources:FPGA": "1", "accel:bitstream_id": UUID.replace("-", "")}],
        [{"resources:FPGA": "1", "accel:function_id": " "}],
        [{"resources:FPGA": "1", "accel:function_id": "x" * 256}],
        [{"resources:FPGA": "1", "accel:bitstream_id": UUID, "accel:function_id": "x"}],
        [{"resources:FPGA": "1", "accel: bitstream_id": UUID, "accel:function_id": "x"}],
        [{"resources:FPGA": "1", "accel:bitstream_id": UUID, "accel: bitstream_id": UUID}],
        [{"resources:FPGA": "1", "accel:x": "é" * 10_001}],
        [{"resources:FPGA": "1", "resource:FPGA": "1"}],
        [{"resources:FPGA": "1", "": "1"}],
    ],
    ids=repr,
)
def test_bad_groups(groups: object) -> None:
    with pytest.raises(InvalidInput):
        parse_groups(groups)


@pytest.mark.parametrize(
    ("groups", "position"),
    [
        ([{"trait:CUSTOM_GPU_NVIDIA": "required"}], 0),
        ([{"accel:bitstream_id": UUID}], 0),
        ([{"resources:FPGA": "1"}, {"trait:CUSTOM_A": "required"}], 1),
        ([{"accel:resources:FPGA": "1"}], 0),
        ([{"resources:FPGA": "1"}, {"resources:GPU": "2"}, {"accel:x": "1", "accel:y": "2"}], 2),
        ([{"accel:x": "1"}, {"resources:FPGA": "1"}, {"accel:y": "2"}], 0),
        ([{"resources:FPGA": 1}, {"resources:FPGA": 0}], 1),
        ([{"resources:FPGA": "0", "resources:GPU": "0"}], 0),
    ],
    ids=repr,
)
def test_g01_a_group_asks_for_resources(groups: object, position: int) -> None:
    with pytest.raises(InvalidInput, match=f"^Group {position}[: ]"):
        parse_groups(groups)


def test_what_asks_for_no_resources() -> None:
    asking = {"resources:FPGA": "0", "resources:GPU": "1"}
    assert without_resources([asking, {"resources:FPGA": "1"}]) == []
    silent = [{"resources:FPGA": "0"}, asking, {"trait:CUSTOM_A": "required"}, {}]
    assert without_resources(silent) == [0, 2, 3]


@pytest.mark.parametrize(
    ("group", "known", "count"),
    [
        ({"resources:FPGA": "3"}, (), 3),
        ({"resources:FPGA": "1", "resources:PGPU": "2"}, (), 3),
        ({"resources:CUSTOM_X": "2"}, (), 2),
        ({"resources:CUSTOM_MEMORY": "4", "resources:FPGA": "1"}, (), 1),
        ({"resources:CUSTOM_MEMORY": "4", "resources:FPGA": "1"}, {"CUSTOM_MEMORY"}, 5),
        ({"trait:CUSTOM_A": "required"}, (), 0),
    ],
)
def test_units(group: dict[str, str], known: set[str], count: int) -> None:
    assert units(group, known) == count


def test_only_several_classes_depend_on_what_the_cloud_has() -> None:
    assert not needs_known_classes([{"resources:CUSTOM_X": "1"}])
    assert not needs_known_classes([{"resources:FPGA": "1", "resources:PGPU": "1"}])
    assert needs_known_classes([{"resources:FPGA": "1", "resources:CUSTOM_X": "1"}])


def test_what_is_loaded_is_stored_as_it_is_compared() -> None:
    groups = parse_groups(
        [
            {"resources:FPGA": "1", "accel: bitstream_id": f" {UUID.upper()} "},
            {"resources:FPGA": "1", "accel:function_id": " Crypto 1 "},
        ]
    )
    assert groups == (
        {"resources:FPGA": "1", "accel:bitstream_id": UUID},
        {"resources:FPGA": "1", "accel:function_id": "Crypto 1"},
    )


def test_keys_that_mean_nothing_here() -> None:
    groups = [
        {"resources:FPGA": "1", "accel:b": "", "accel:bitstream_id": UUID},
        {"trait:CUSTOM_A": "required", "accel:a": "x", "accel:b": "y", "accel:function_id": "f"},
    ]
    assert keys_without_effect(groups) == ("accel:a", "accel:b")
    assert keys_without_effect([{"resources:FPGA": "1"}]) == ()


def test_what_needs_programming() -> None:
    assert needs_programming({"accel:bitstream_id": "x"})
    assert needs_programming({"accel:function_id": "x"})
    assert not needs_programming({"accel:other": "x", "resources:FPGA": "1"})


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({"CUSTOM_A"}, None),
        ({"CUSTOM_A", "CUSTOM_C"}, None),
        (set(), "lacks the trait CUSTOM_A, which the device profile's group requires"),
        ({"CUSTOM_AA"}, "lacks the trait CUSTOM_A, which the device profile's group requires"),
        (
            {"CUSTOM_A", "CUSTOM_B"},
            "has the trait CUSTOM_B, which the device profile's group forbids",
        ),
    ],
)
def test_traits_of_a_provider(traits: set[str], expected: str | None) -> None:
    group = {"resources:FPGA": "1", "trait:CUSTOM_A": "required", "trait:CUSTOM_B": "forbidden"}
    assert objection(group, traits) == expected
    assert objection({"resources:FPGA": "1", "accel:x": "required"}, traits) is None
