"""K4: one piece of hardware in several shapes is given out in one of them at a time."""

from __future__ import annotations

from typing import Any

import pytest

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import HandleCondition
from cyborg.tests.functional.conductor.field_cases.hardware import card, mdev, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine, address_of

PARENT = "0000:42:00.0"
NAME = f"compute-1_{PARENT}"


def whole(**values: Any) -> DeviceReport:
    return card("GPU-a", part(NAME, "PGPU", pci(PARENT), **values))


def carved(number: int = 4, name: str = NAME, **values: Any) -> DeviceReport:
    slices = [mdev(PARENT, "nvidia-223", slot) for slot in range(number)]
    return card("GPU-a", part(name, "VGPU", *slices, **values))


def test_c01_a_card_that_a_server_has_is_carved(scheduled: Machine) -> None:
    scheduled.report(whole())
    bound = scheduled.bind(NAME, "PGPU")
    for _ in range(4):
        scheduled.report(carved())
        assert scheduled.offered(NAME, "VGPU") == 0
        assert scheduled.offered(NAME, "PGPU") == 0
        assert scheduled.candidates("VGPU") == 0
        scheduled.refusal(NAME, "VGPU")
    scheduled.delete(bound)
    assert scheduled.offered(NAME, "VGPU") == 4
    for left in (3, 2, 1, 0):
        scheduled.bind(NAME, "VGPU")
        assert scheduled.offered(NAME, "VGPU") == left
    scheduled.refusal(NAME, "VGPU")
    scheduled.report(carved())
    scheduled.report(carved())
    assert set(scheduled.hardware()) == {f"{PARENT}/nvidia-223/{slot}" for slot in range(4)}
    assert scheduled.is_settled(carved())


def test_c01_a_card_whose_slices_servers_have_is_made_whole(scheduled: Machine) -> None:
    scheduled.report(carved(2))
    first, second = (scheduled.bind(NAME, "VGPU") for _ in range(2))
    scheduled.report(whole())
    for bound in (first, second):
        assert scheduled.candidates("PGPU") == 0
        scheduled.refusal(NAME, "PGPU")
        scheduled.delete(bound)
    assert scheduled.offered(NAME, "PGPU") == 1
    scheduled.bind(NAME, "PGPU")


def test_c01_carved_while_it_is_cleaned(scheduled: Machine) -> None:
    """What is released, or quarantined, counts as given out."""
    scheduled.report(whole(needs_release=True))
    scheduled.delete(scheduled.bind(NAME, "PGPU"))
    scheduled.report(carved(needs_release=True))
    assert scheduled.candidates("VGPU") == 0
    scheduled.refusal(NAME, "VGPU")
    scheduled.fail_to_clean()
    scheduled.report(carved(needs_release=True))
    assert scheduled.candidates("VGPU") == 0
    scheduled.refusal(NAME, "VGPU")


def test_c01_both_shapes_in_one_report(scheduled: Machine) -> None:
    """Whoever asks first has it: Placement is told of the other shape before the answer."""
    slices = [mdev(PARENT, "nvidia-223", slot) for slot in range(2)]
    both = card(
        "GPU-a", part("gpu-whole", "PGPU", pci(PARENT)), part("gpu-carved", "VGPU", *slices)
    )
    scheduled.report(both)

    def offered() -> tuple[int, int]:
        return scheduled.offered("gpu-whole", "PGPU"), scheduled.offered("gpu-carved", "VGPU")

    assert offered() == (1, 2)
    bound = scheduled.bind("gpu-whole", "PGPU")
    assert scheduled.candidates("VGPU") == 0
    scheduled.refusal("gpu-carved", "VGPU")
    scheduled.delete(bound)
    assert scheduled.offered("gpu-carved", "VGPU") == 2
    one = scheduled.bind("gpu-carved", "VGPU")
    other = scheduled.bind("gpu-carved", "VGPU")
    assert scheduled.candidates("PGPU") == 0
    scheduled.delete(one)
    assert offered() == (0, 1)
    scheduled.refusal("gpu-whole", "PGPU")
    scheduled.delete(other)
    assert scheduled.offered("gpu-whole", "PGPU") == 1


def test_x29_two_functions_of_one_iommu_group(scheduled: Machine) -> None:
    """Never to two servers: a hypervisor can only give the group as one."""
    group = Share("iommu/15")
    cards = [
        card(f"GPU-{slot}", part(f"gpu_{slot}", "PGPU", pci(f"0000:{slot}:00.0", group)))
        for slot in ("0a", "0b")
    ]
    scheduled.report(*cards)
    assert scheduled.candidates("PGPU") == 2
    bound = scheduled.bind("gpu_0a", "PGPU")
    assert scheduled.candidates("PGPU") == 0
    scheduled.refusal("gpu_0b", "PGPU")
    scheduled.delete(bound)
    assert scheduled.offered("gpu_0a", "PGPU") == scheduled.offered("gpu_0b", "PGPU") == 1
    scheduled.bind("gpu_0b", "PGPU")
    scheduled.refusal("gpu_0a", "PGPU")


def test_x30_the_number_of_instances_shrinks_with_use(machine: Machine) -> None:
    """available_instances counts what is left; a driver reports what there can be."""
    machine.report(carved(8))
    machine.bind(NAME, "VGPU")
    machine.report(carved(8))
    assert set(machine.hardware().values()) == {HandleCondition.READY}
    assert machine.is_settled(carved(8))


def test_k4_own_two_sizes_of_mediated_devices(scheduled: Machine) -> None:
    """Found with GVT-g: a GPU makes two devices of type V5_4 or four of V5_8, or one of the
    first and two of the second: each size alone says how many there can be."""
    large = [mdev("0000:00:02.0", "i915-GVTg_V5_4", slot) for slot in range(2)]
    small = [mdev("0000:00:02.0", "i915-GVTg_V5_8", slot) for slot in range(4)]
    scheduled.report(
        card("igpu", part("v5_4", "CUSTOM_L", *large), part("v5_8", "CUSTOM_S", *small))
    )
    assert (scheduled.offered("v5_4", "CUSTOM_L"), scheduled.offered("v5_8", "CUSTOM_S")) == (2, 4)
    scheduled.bind("v5_8", "CUSTOM_S")
    assert (scheduled.offered("v5_4", "CUSTOM_L"), scheduled.offered("v5_8", "CUSTOM_S")) == (1, 3)
    big = scheduled.bind("v5_4", "CUSTOM_L")
    assert (scheduled.offered("v5_4", "CUSTOM_L"), scheduled.offered("v5_8", "CUSTOM_S")) == (0, 1)
    scheduled.bind("v5_8", "CUSTOM_S")
    scheduled.refusal("v5_8", "CUSTOM_S")
    scheduled.refusal("v5_4", "CUSTOM_L")
    scheduled.delete(big)
    assert (scheduled.offered("v5_4", "CUSTOM_L"), scheduled.offered("v5_8", "CUSTOM_S")) == (1, 2)


def test_k4_own_a_port_and_its_virtual_functions(scheduled: Machine) -> None:
    """Found with SR-IOV: a VF is of no use to a server once another has the PF, which could
    switch all of them off."""
    pf = "0000:3d:00.0"
    vfs = [pci(f"0000:3d:01.{n}", Share(pf, 1, 4)) for n in range(4)]
    scheduled.report(
        card("qat", part("pf", "CUSTOM_QAT_PF", pci(pf)), part("vfs", "CUSTOM_QAT_VF", *vfs))
    )
    assert scheduled.offered("vfs", "CUSTOM_QAT_VF") == 4
    vf = scheduled.bind("vfs", "CUSTOM_QAT_VF")
    assert scheduled.offered("pf", "CUSTOM_QAT_PF") == 0
    scheduled.refusal("pf", "CUSTOM_QAT_PF")
    assert scheduled.offered("vfs", "CUSTOM_QAT_VF") == 3
    scheduled.delete(vf)
    assert address_of(scheduled.bind("pf", "CUSTOM_QAT_PF")) == pf
    assert scheduled.candidates("CUSTOM_QAT_VF") == 0
    scheduled.refusal("vfs", "CUSTOM_QAT_VF")


def test_k4_own_slices_of_two_resources(scheduled: Machine) -> None:
    """Found with MIG on 40 GB: 3g.20gb takes three of seven engines and half of the memory, so
    two of them leave no memory for 1g.5gb, though one of the engines is idle."""
    # The engines are the card's own counter: what a slice takes of it is said by the driver.
    engines, memory = PARENT, "GPU-a/memory"
    big = [
        mdev(PARENT, "mig-3g.20gb", slot, Share(engines, 3, 7), Share(memory, 4, 8))
        for slot in range(2)
    ]
    small = [
        mdev(PARENT, "mig-1g.5gb", slot, Share(engines, 1, 7), Share(memory, 1, 8))
        for slot in range(7)
    ]
    scheduled.report(card("GPU-a", part("3g", "CUSTOM_3G", *big), part("1g", "CUSTOM_1G", *small)))

    def offered() -> tuple[int, int]:
        return scheduled.offered("3g", "CUSTOM_3G"), scheduled.offered("1g", "CUSTOM_1G")

    assert offered() == (2, 7)
    first = scheduled.bind("3g", "CUSTOM_3G")
    assert offered()[0] == 1
    assert offered() == (1, 4)
    slices = [scheduled.bind("1g", "CUSTOM_1G") for _ in range(4)]
    scheduled.refusal("1g", "CUSTOM_1G")
    scheduled.refusal("3g", "CUSTOM_3G")
    for bound in slices:
        scheduled.delete(bound)
    scheduled.bind("3g", "CUSTOM_3G")
    assert offered() == (0, 0)
    scheduled.refusal("1g", "CUSTOM_1G")
    scheduled.delete(first)
    assert offered()[0] == 1


@pytest.mark.parametrize("needs_release", [False, True])
def test_k4_own_a_card_that_comes_back_in_another_shape_unclean(
    machine: Machine, needs_release: bool
) -> None:
    """Found here: its server was deleted while the card was away, and it was carved meanwhile."""
    machine.report(whole(needs_release=True))
    bound = machine.bind(NAME, "PGPU")
    machine.report()
    machine.delete(bound)
    assert machine.answer("GPU-a is not there", away=True) == 1
    machine.report(carved(needs_release=needs_release))
    if needs_release:
        machine.refusal(NAME, "VGPU")
        assert machine.answer() == 4
    for _ in range(4):
        machine.bind(NAME, "VGPU")


def test_k4_own_a_card_of_two_shapes_whose_parts_are_renamed(scheduled: Machine) -> None:
    """A release of the driver has the model in their names: the providers are new ones."""

    def both(suffix: str) -> DeviceReport:
        slices = [mdev(PARENT, "nvidia-223", slot) for slot in range(2)]
        shapes = (
            part(f"whole{suffix}", "PGPU", pci(PARENT)),
            part(f"carved{suffix}", "VGPU", *slices),
        )
        return card("GPU-a", *shapes)

    scheduled.report(both(""))
    scheduled.report(both("-a100"))
    bound = scheduled.bind("carved-a100", "VGPU")
    assert scheduled.offered("whole-a100", "PGPU") == 0
    scheduled.refusal("whole-a100", "PGPU")
    scheduled.delete(bound)
    assert scheduled.offered("whole-a100", "PGPU") == 1
    scheduled.bind("whole-a100", "PGPU")
    scheduled.refusal("carved-a100", "VGPU")
