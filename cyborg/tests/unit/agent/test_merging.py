"""What one report of a host may hold, and whom it costs that there is more."""

from __future__ import annotations

import dataclasses

import pytest

from cyborg.agent.looks import Look, Trouble
from cyborg.agent.merging import Memory, Merged, merged
from cyborg.domain.inventory import DeviceReport, HandleReport, Snapshot
from cyborg.domain.report_check import MAX_DEPLOYABLES, MAX_DEVICES, MAX_HANDLES, check_report
from cyborg.tests.unit.agent.helpers import make_device

OTHER = make_device("other", "other_driver")


def crowd(devices: int, parts: int, handles: int) -> tuple[DeviceReport, ...]:
    """Return devices of parts, each with as many handles."""
    # Checking each of them is not what takes a moment here.
    card = make_device()
    (part,) = card.deployables

    def name(*numbers: int) -> str:
        return "-".join(map(str, numbers))

    return tuple(
        dataclasses.replace(
            card,
            identity=f"card-{device}",
            deployables=tuple(
                dataclasses.replace(
                    part,
                    name=name(device, each),
                    num_accelerators=handles,
                    handles=tuple(
                        HandleReport("X", {}, name(device, each, n)) for n in range(handles)
                    ),
                )
                for each in range(parts)
            ),
        )
        for device in range(devices)
    )


def beside_other(look: Look) -> Merged:
    looks = {"test_driver": look, "other_driver": Look((OTHER,))}
    return merged(looks, Memory().hidden(looks))


#: Devices, parts of each and handles of each part: the most that a report may hold.
MOST = {
    "devices": (MAX_DEVICES, 0, 0),
    "deployables": (4, MAX_DEPLOYABLES // 4, 0),
    "attach handles": (4, 1, MAX_HANDLES // 4),
}


@pytest.mark.parametrize("what", MOST)
def test_a_driver_that_is_too_much_is_refused_as_a_whole(what: str) -> None:
    devices = crowd(*MOST[what])
    result = beside_other(Look((*devices, make_device("one-more"))))
    assert result.snapshot == Snapshot((OTHER,), ("test_driver",))
    [trouble] = result.troubles["test_driver"]
    assert f" {what} " in trouble.text


@pytest.mark.parametrize("what", MOST)
def test_there_is_room_for_who_is_named_first(what: str) -> None:
    devices = crowd(*MOST[what])
    result = beside_other(Look(devices))
    assert result.snapshot.failed_drivers == ("other_driver",)
    assert len(result.snapshot.devices) == len(devices)
    assert result.troubles["test_driver"] == ()


def test_the_most_is_what_the_conductor_takes() -> None:
    everything = Snapshot(crowd(MAX_DEVICES, 0, 0)).to_wire()
    assert check_report(everything).left_out == ()


def test_what_cannot_be_seen_is_bounded_too() -> None:
    troubles = tuple(Trouble("EIO", f"card-{number}") for number in range(MAX_DEVICES))
    result = beside_other(Look(troubles=troubles))
    assert len(result.snapshot.unseen) == MAX_DEVICES
    check_report(result.snapshot.to_wire())
    result = beside_other(Look(troubles=(*troubles, Trouble("EIO", "one-more"))))
    assert result.snapshot == Snapshot((OTHER,), ("test_driver",))
    assert result.troubles["test_driver"][-1] == Trouble(
        f"{MAX_DEVICES + 1} devices that cannot be seen are too many for one host's report"
    )
