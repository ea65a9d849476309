"""Reports: on the wire, as a digest, checked device by device, and refused when absurd."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.errors import ReportRefused
from cyborg.domain.handle_check import MAX_INFO
from cyborg.domain.hardware import Share
from cyborg.domain.inventory import (
    DeployableReport,
    DeviceReport,
    HandleReport,
    Snapshot,
    UnseenDevice,
    digest_of,
)
from cyborg.domain.model import DeviceCondition
from cyborg.domain.report_check import (
    MAX_BOARD_INFO,
    MAX_DEPLOYABLES,
    MAX_DEVICES,
    MAX_HANDLES,
    MAX_REASON,
    check_report,
    sound_device,
)
from cyborg.tests.helpers import deployable, device

ONE = device("one", deployable("one-a", 2), deployable("one-b", 1))
TWO = device("two", deployable("two-a", 2))


def checked(report: DeviceReport) -> DeviceReport:
    """Return a device as it is recorded."""
    return sound_device(Snapshot((report,)).to_wire()["devices"][0])


# The wire, and the digest


def test_the_wire_form_is_json_and_comes_back_equal() -> None:
    devices = tuple(map(checked, (ONE, TWO)))
    snapshot = Snapshot(devices, ("other_driver",), (UnseenDevice("fake_driver", "three"),))
    wire = json.loads(json.dumps(snapshot.to_wire()))
    again = check_report(wire)
    assert again.left_out == ()
    assert again.snapshot == snapshot
    assert again.snapshot.digest() == snapshot.digest() == digest_of(wire)


def test_the_digest_depends_on_content_not_on_order() -> None:
    assert Snapshot((ONE, TWO)).digest() == Snapshot((TWO, ONE)).digest()
    assert Snapshot((ONE,)).digest() != Snapshot((ONE, TWO)).digest()
    assert Snapshot((ONE,)).digest() != Snapshot((ONE,), ("failed",)).digest()
    unseen = (UnseenDevice("fake_driver", "two"),)
    assert Snapshot((ONE,)).digest() != Snapshot((ONE,), unseen=unseen).digest()


def test_the_digest_is_of_what_was_sent() -> None:
    wire = Snapshot((ONE,)).to_wire()
    later = copy.deepcopy(wire)
    later["devices"][0]["deployables"][0]["handles"][0]["later"] = 1
    assert digest_of(later) != digest_of(wire)
    assert check_report(later) == check_report(wire)


def test_fields_of_other_releases_do_not_matter() -> None:
    """One release back some are not there yet; one on there are some more, on each level."""
    full = Snapshot((ONE,)).to_wire()
    before, after = copy.deepcopy(full), copy.deepcopy(full)
    del before["unseen"]
    after["later"] = 1
    for old, new in zip(before["devices"], after["devices"], strict=True):
        del old["condition"], old["condition_reason"]
        new["later"] = 1
        for part in old["deployables"]:
            for name in ("programmable", "bitstream_id", "is_empty"):
                del part[name]
            for handle in part["handles"]:
                del handle["key"], handle["shares"]
        for part in new["deployables"]:
            part["later"] = 1
            for handle in part["handles"]:
                handle["later"] = 1
    assert check_report(before) == check_report(full) == check_report(after)


# What is no report


@pytest.mark.parametrize(
    "wire",
    [
        None,
        [],
        "text",
        1,
        {},
        {"devices": []},
        {"failed_drivers": []},
        {"devices": None, "failed_drivers": []},
        {"devices": {}, "failed_drivers": []},
        {"devices": [], "failed_drivers": "fake"},
        {"devices": [], "failed_drivers": [1]},
        {"devices": [], "failed_drivers": [], "unseen": [{"driver": "x"}]},
        {"devices": [{}] * (MAX_DEVICES + 1), "failed_drivers": []},
    ],
    ids=lambda wire: repr(wire)[:40],
)
def test_no_report_at_all_is_refused(wire: object) -> None:
    with pytest.raises(ReportRefused):
        check_report(wire)


def many(devices: int, parts: int, handles: int) -> dict[str, Any]:
    """Return a report of so many; none of them is sound, which does not make them fewer."""
    part: dict[str, Any] = {"handles": [{}] * handles}
    return {"devices": [{"deployables": [part] * parts}] * devices, "failed_drivers": []}


@pytest.mark.parametrize(
    ("at_most", "beyond", "what"),
    [
        ((4, MAX_DEPLOYABLES // 4, 0), (3, MAX_DEPLOYABLES // 3 + 1, 0), "deployables"),
        ((2, 4, MAX_HANDLES // 8), (2, 4, MAX_HANDLES // 8 + 1), "attach handles"),
    ],
)
def test_a_report_has_a_total_bound(
    at_most: tuple[int, int, int], beyond: tuple[int, int, int], what: str
) -> None:
    assert len(check_report(many(*at_most)).left_out) == at_most[0]
    with pytest.raises(ReportRefused, match=f"[0-9]+ {what}; [0-9]+ is the most"):
        check_report(many(*beyond))


# One bad device costs itself

Change = Callable[[dict[str, Any]], object]


def put(*path: Any) -> Change:
    """Return a change of a device on the wire: where, and at the end what."""

    def change(wire: dict[str, Any]) -> None:
        at: Any = wire
        for step in path[:-2]:
            at = at[step]
        at[path[-2]] = path[-1]

    return change


def lack(*path: Any) -> Change:
    """Return a change of a device on the wire that removes something."""

    def change(wire: dict[str, Any]) -> None:
        at: Any = wire
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return change


PART = ("deployables", 0)
HANDLE = (*PART, "handles", 0)
NO_TYPES = ("", "fpga", "A B", "A-B", "X" * 17, "FPGA\n", 5, None)
NO_NUMBERS = (-1, 10**6, 1.5, True, "2", None)

BAD: list[Change] = [
    *(put("type", wrong) for wrong in NO_TYPES),
    put("identity", ""),
    put("identity", "a "),
    put("identity", "a\x00b"),
    put("identity", "x" * 256),
    put("driver", "a\nb"),
    put("vendor", "x" * 256),
    put("vendor", ""),
    put("model", 5),
    put("std_board_info", {"a": 1}),
    put("std_board_info", {f"{n}": "" for n in range(65)}),
    put("vendor_board_info", {f"{n:04}": "\u4e2d" * 255 for n in range(60)}),
    put("control_path", []),
    put("condition", 5),
    put("deployables", None),
    lack("vendor"),
    lack("deployables"),
    *(put(*PART, "num_accelerators", wrong) for wrong in NO_NUMBERS),
    put(*PART, "num_accelerators", 1),
    put(*PART, "num_accelerators", 3),
    put(*PART, "resource_class", "lower"),
    put(*PART, "traits", ["A B"]),
    put(*PART, "traits", ["A"] * 65),
    put(*PART, "name", "x" * 201),
    put(*PART, "name", " x"),
    put(*PART, "name", "x\udce9"),
    put(*PART, "bitstream_id", "x" * 36),
    put(*PART, "programmable", 1),
    put(*PART, "handles", "x"),
    *(put(*HANDLE, "type", wrong) for wrong in NO_TYPES),
    put(*HANDLE, "info", {}),
    put(*HANDLE, "info", "function", "8"),
    put(*HANDLE, "info", "function", 0),
    put(*HANDLE, "info", "note", "x" * 256),
    put(*HANDLE, "info", "note", "\x00"),
    put(*HANDLE, "info", "no\nte", ""),
    put(*HANDLE, "key", "0000:00:00.0"),
    put(*HANDLE, "key", "\x00"),
    put(*HANDLE, "key", "x" * 256),
    put(*HANDLE, "shares", [{"counter": "c"}]),
    put(*HANDLE, "shares", [{"counter": "c", "amount": 2, "capacity": 1}]),
    put(*HANDLE, "shares", [{"counter": "c", "amount": 0, "capacity": 1}]),
    put(*HANDLE, "shares", [{"counter": "c", "amount": 1, "capacity": 2**31}]),
    put(*HANDLE, "shares", [{"counter": " ", "amount": 1, "capacity": 1}]),
    put(*HANDLE, "shares", [{"counter": "a\x00", "amount": 1, "capacity": 1}]),
    put(*HANDLE, "shares", [{"counter": "\u0130" * 255, "amount": 1, "capacity": 1}]),
    put(*HANDLE, "shares", [{"counter": f"{n}", "amount": 1, "capacity": 1} for n in range(17)]),
]


@pytest.mark.parametrize("change", BAD, ids=[str(n) for n in range(len(BAD))])
def test_one_bad_device_costs_itself(change: Change) -> None:
    wire = Snapshot((ONE, TWO)).to_wire()
    [bad] = [each for each in wire["devices"] if each["identity"] == "one"]
    change(bad)
    found = check_report(wire)
    assert found.snapshot.devices == (checked(TWO),)
    [left_out] = found.left_out
    assert left_out.why
    assert len(str(left_out).splitlines()) == 1
    assert not left_out.partly


def test_what_is_left_out_is_not_absent() -> None:
    wire = Snapshot((ONE, TWO), ("third",), (UnseenDevice("fourth", "four"),)).to_wire()
    for each in wire["devices"]:
        each["vendor"] = ""
    found = check_report(wire).snapshot
    assert found.devices == ()
    assert found.failed_drivers == ("third",)
    assert set(found.unseen) == {
        UnseenDevice("fourth", "four"),
        UnseenDevice("fake_driver", "one"),
        UnseenDevice("fake_driver", "two"),
    }


@pytest.mark.parametrize("identity", [None, 5, "", [], "\x00"])
def test_nothing_of_a_driver_is_absent_that_reports_something_nameless(identity: object) -> None:
    """Any of its devices may be what was meant."""
    wire = Snapshot((TWO, ONE)).to_wire()
    [bad] = [each for each in wire["devices"] if each["identity"] == "one"]
    bad["identity"] = identity
    found = check_report(wire)
    assert found.snapshot.devices == (checked(TWO),)
    assert found.snapshot.failed_drivers == ("fake_driver",)
    assert found.snapshot.unseen == ()
    assert "device (unknown) left out" in str(found.left_out[0])


@pytest.mark.parametrize("other", [None, 5, "text", [], {}])
def test_what_is_no_device_at_all(other: object) -> None:
    wire = Snapshot((ONE,)).to_wire()
    wire["devices"].append(other)
    found = check_report(wire)
    assert found.snapshot.devices == (checked(ONE),)
    assert (found.left_out[0].driver, found.left_out[0].identity) == (None, None)


def test_the_bad_handle_is_named() -> None:
    handles = (*ONE.deployables[0].handles, HandleReport("PCI", {"domain": "0000"}))
    part = DeployableReport("one-a", "FPGA", 3, "fake", handles=handles)
    with pytest.raises(ValueError, match=r"^handle 2 of one-a: its info has no bus$"):
        checked(device("one", part))


def test_the_numbers_are_named() -> None:
    with pytest.raises(ValueError, match=r"^deployable a has 4 accelerators and 1 handles$"):
        checked(device("one", deployable("a", 1, num_accelerators=4)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Return a change of anything on any level of a device."""
    path: list[Any] = []
    at: Any = Snapshot((ONE,)).to_wire()["devices"][0]
    while isinstance(at, dict | list) and at and (not path or draw(st.booleans())):
        step = draw(st.sampled_from(sorted(at))) if isinstance(at, dict) else 0
        path.append(step)
        at = at[step]
    return put(*path, draw(JSON))


@given(change=changes())
def test_whatever_is_wrong_with_a_device_is_said_in_one_line(change: Change) -> None:
    wire = Snapshot((ONE, TWO)).to_wire()
    [bad] = [each for each in wire["devices"] if each["identity"] == "one"]
    change(bad)
    found = check_report(wire)
    assert checked(TWO) in found.snapshot.devices
    assert len(found.snapshot.devices) + len(found.left_out) == 2
    for each in found.left_out:
        assert len(str(each).splitlines()) == 1
        assert len(str(each)) < 1000


# In canonical form


@pytest.mark.parametrize("kind", ["A", "CXL_MEM", "9", "X" * 16])
def test_a_type_that_nobody_has_heard_of_is_accepted(kind: str) -> None:
    part = deployable("part", 1, handles=(HandleReport(kind, {"path": "/dev/thing"}),))
    found = checked(device("card", part, type=kind))
    assert found.type == kind
    [handle] = found.deployables[0].handles
    assert (handle.type, dict(handle.info)) == (kind, {"path": "/dev/thing"})


def test_texts_for_people_are_made_plain() -> None:
    padded = device(
        "one", vendor="NVIDIA\x00\x00", model="two\nlines ", std_board_info={"a\x00": "b\udce9"}
    )
    found = checked(padded)
    assert (found.vendor, found.model) == ("NVIDIA", "two lines")
    assert found.std_board_info == {"a": "b"}


def test_a_condition_and_its_reason() -> None:
    reason = "fan\n" * MAX_REASON
    found = checked(device("one", condition=DeviceCondition.FAILED, condition_reason=reason))
    assert found.condition is DeviceCondition.FAILED
    assert found.condition_reason is not None
    assert found.condition_reason.startswith("fan fan")
    assert len(found.condition_reason) == MAX_REASON
    assert checked(device("one", condition_reason="")).condition_reason is None
    later = {**Snapshot((ONE,)).to_wire()["devices"][0], "condition": "throttled"}
    assert sound_device(later).condition is DeviceCondition.UNMONITORED


def test_one_that_holds_an_image_is_not_empty() -> None:
    image = "11111111-2222-3333-4444-555555555555"
    for values, empty in (
        ({"is_empty": True}, True),
        ({"is_empty": True, "bitstream_id": image}, False),
        ({"bitstream_id": image}, False),
        ({}, False),
    ):
        found = checked(device("one", deployable("a", 1, **values)))
        assert found.deployables[0].is_empty is empty


AT = {"domain": "0000", "bus": "42", "device": "00", "function": "0"}


def shares_of(*handles: HandleReport) -> list[tuple[Share, ...]]:
    part = DeployableReport("a", "FPGA", len(handles), "fake", handles=handles)
    return [handle.shares for handle in checked(device("one", part)).deployables[0].handles]


def test_a_function_has_all_of_its_own_counter_whatever_is_declared() -> None:
    own = Share("0000:42:00.0", 1, 1)
    lies = (Share("0000:42:00.0", 1, 8), Share("Card/Memory", 1, 8))
    assert shares_of(HandleReport("PCI", AT, shares=lies)) == [(own, Share("card/memory", 1, 8))]


def test_mediated_devices_share_their_parent_unless_it_is_declared() -> None:
    slices = [
        HandleReport("MDEV", {**AT, "asked_type": kind}, key=f"{kind}/{n}")
        for kind, number in (("half", 2), ("third", 3))
        for n in range(number)
    ]
    parent = "0000:42:00.0"
    assert shares_of(*slices) == [(Share(parent, 1, 2),)] * 2 + [(Share(parent, 1, 3),)] * 3
    declared = (Share("0000:42:0.0", 3, 7),)
    third = HandleReport("MDEV", {**AT, "asked_type": "third"}, shares=declared)
    assert shares_of(third) == [(Share(parent, 3, 7),)]


def test_what_else_is_unknown_occupies_itself() -> None:
    assert shares_of(HandleReport("NVME", {"a": "b"}, key="EUI.1")) == [(Share("eui.1"),)]


def test_info_has_a_bound_as_json() -> None:
    notes = {f"note{n:02}": "x" * 240 for n in range(16)}
    assert MAX_INFO - 600 < len(json.dumps(notes)) < MAX_INFO
    shares_of(HandleReport("NVME", notes, key="one"))
    with pytest.raises(ValueError, match=f"longer than {MAX_INFO}"):
        # What is no ASCII takes six characters.
        shares_of(HandleReport("NVME", {**notes, "note": "\u4e2d" * 100}, key="one"))


def test_board_info_has_a_bound_as_json() -> None:
    facts = {f"{n:02}": "\u4e2d" * 255 for n in range(30)}
    checked(device("one", std_board_info=facts))
    with pytest.raises(ValueError, match=f"std_board_info is longer than {MAX_BOARD_INFO}"):
        checked(
            device("one", std_board_info={**facts, **{f"x{n}": "\u4e2d" * 255 for n in range(12)}})
        )


@pytest.mark.parametrize("network", [None, "", "physnet"])
def test_a_port_needs_a_network(network: str | None) -> None:
    info = AT if network is None else {**AT, "physical_network": network}
    for kind, handle_type in (("NIC", "PCI"), ("NIC", "TEST_PCI"), ("GPU", "PCI")):
        part = DeployableReport("a", "FPGA", 1, "x", handles=(HandleReport(handle_type, info),))
        if (kind, handle_type) == ("NIC", "PCI") and not network:
            with pytest.raises(ValueError, match="physical_network"):
                checked(device("one", part, type=kind))
        else:
            checked(device("one", part, type=kind))


def test_attributes_are_the_traits_and_the_class() -> None:
    part = deployable("a", 1, traits=("CUSTOM_A", "CUSTOM_B"))
    assert part.attributes() == (
        ("trait1", "CUSTOM_A"),
        ("trait2", "CUSTOM_B"),
        ("rc", "FPGA"),
    )
