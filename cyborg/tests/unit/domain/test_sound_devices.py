"""A device in canonical form is itself: the agent checks it, sends it, and it is checked again."""

from __future__ import annotations

import pytest

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, Snapshot
from cyborg.domain.report_check import sound_device

PLACE = {"domain": "0", "bus": "C", "device": "A", "function": "1"}


def checked(device: DeviceReport) -> DeviceReport:
    return sound_device(Snapshot((device,)).to_wire()["devices"][0])


@pytest.mark.parametrize(
    "handle",
    [
        HandleReport("PCI", PLACE),
        HandleReport("PCI", PLACE, shares=(Share("0000:0C:00.0", 1, 4), Share("iommu/A"))),
        HandleReport("TEST_PCI", PLACE),
        HandleReport("MDEV", {**PLACE, "asked_type": "nvidia-223"}),
        HandleReport("MDEV", {**PLACE, "asked_type": "i915-GVTg_V5_4", "mark": "B"}),
        HandleReport("MDEV", {**PLACE, "asked_type": "nvidia-223"}, key="GPU-A/Slice 3"),
        HandleReport("SLICE", {"card": "GPU-6F2A"}),
        HandleReport("SLICE", {"card": "GPU-6F2A"}, key=" GPU-6F2A/1 "),
    ],
)
def test_what_was_checked_stays_as_it_is(handle: HandleReport) -> None:
    part = DeployableReport("host_a", "FPGA", 1, "test", handles=(handle,))
    once = checked(DeviceReport("one", "a", "FPGA", " v\x00 ", "m\x00", deployables=(part,)))
    assert checked(once) == once
    key = once.deployables[0].handles[0].key
    assert key == key.lower().strip()
