"""Snapshots: on the wire, as a digest, and refused when absurd."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from cyborg.domain.errors import ReportRefused
from cyborg.domain.inventory import HandleReport, Snapshot, snapshot_from_wire
from cyborg.tests.helpers import deployable, device

ONE = device("one", deployable("one-a", 2), deployable("one-b", 1))
TWO = device("two", deployable("two-a", 2))


def test_the_wire_form_is_json_and_comes_back_equal() -> None:
    snapshot = Snapshot((ONE, TWO), ("other_driver",))
    wire = json.loads(json.dumps(snapshot.to_wire()))
    again = snapshot_from_wire(wire)
    assert again == snapshot
    assert again.digest() == snapshot.digest()


def test_the_digest_depends_on_content_not_on_order() -> None:
    assert Snapshot((ONE, TWO)).digest() == Snapshot((TWO, ONE)).digest()
    assert Snapshot((ONE,)).digest() != Snapshot((ONE, TWO)).digest()
    assert Snapshot((ONE,)).digest() != Snapshot((ONE,), ("failed",)).digest()


@pytest.mark.parametrize("kind", ["A", "CXL_MEM", "9", "X" * 16])
def test_a_type_that_nobody_has_heard_of_is_accepted(kind: str) -> None:
    part = deployable("part", 1, handles=(HandleReport(kind, {"path": "/dev/thing"}),))
    snapshot = Snapshot((device("card", part, type=kind),))
    assert snapshot_from_wire(snapshot.to_wire()) == snapshot


def _set(path: list[Any], value: object) -> Any:
    def change(wire: Any) -> None:
        for key in path[:-1]:
            wire = wire[key]
        wire[path[-1]] = value

    return change


PART = ["devices", 0, "deployables", 0]

NO_TYPES = ("", "fpga", "A B", "A-B", "X" * 17, "FPGA\n", 5, None)


@pytest.mark.parametrize(
    "change",
    [
        _set(["devices"], None),
        _set(["devices"], [{}]),
        _set(["devices"], [Snapshot((ONE,)).to_wire()["devices"][0]] * 2),
        _set(["devices"], [{"x": 1}] * 2000),
        _set(["extra"], 1),
        _set(["failed_drivers"], "fake"),
        *(_set(["devices", 0, "type"], wrong) for wrong in NO_TYPES),
        _set(["devices", 0, "identity"], ""),
        _set(["devices", 0, "vendor"], "x" * 256),
        _set(["devices", 0, "std_board_info"], {"a": 1}),
        _set([*PART, "num_accelerators"], -1),
        _set([*PART, "num_accelerators"], 10**6),
        _set([*PART, "num_accelerators"], 1.5),
        _set([*PART, "num_accelerators"], True),
        _set([*PART, "resource_class"], "lower"),
        _set([*PART, "traits"], ["A B"]),
        _set([*PART, "name"], "x" * 201),
        *(_set([*PART, "handles", 0, "type"], wrong) for wrong in NO_TYPES),
        _set([*PART, "handles"], ONE.deployables[0].handles * 2),
        _set(["devices", 0, "deployables", 1, "name"], "one-a"),
    ],
)
def test_an_absurd_report_is_refused(change: Any) -> None:
    wire = copy.deepcopy(Snapshot((ONE,)).to_wire())
    snapshot_from_wire(wire)
    change(wire)
    with pytest.raises(ReportRefused):
        snapshot_from_wire(wire)


@pytest.mark.parametrize("wire", [None, [], "text", 1, {}, {"devices": []}])
def test_no_report_at_all_is_refused(wire: object) -> None:
    with pytest.raises(ReportRefused):
        snapshot_from_wire(wire)


def test_attributes_are_the_traits_and_the_class() -> None:
    part = deployable("a", 1, traits=("CUSTOM_A", "CUSTOM_B"))
    assert part.attributes() == (
        ("trait1", "CUSTOM_A"),
        ("trait2", "CUSTOM_B"),
        ("rc", "FPGA"),
    )
