"""K6: what a deployable offers that is no longer reported: nothing."""

from __future__ import annotations

from cyborg.conductor import releasing
from cyborg.domain.clock import provider_uuid
from cyborg.tests.functional.conductor.field_cases.hardware import card, mdev, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine

PARENT = "0000:42:00.0"


def test_c03_slices_of_another_size(scheduled: Machine) -> None:
    small = [mdev(PARENT, "mig-1g", slot) for slot in range(7)]
    scheduled.report(card("GPU-a", part("mig-1g", "CUSTOM_MIG_1G", *small)))
    bound = scheduled.bind("mig-1g", "CUSTOM_MIG_1G")
    large = card("GPU-a", part("mig-7g", "CUSTOM_MIG_7G", mdev(PARENT, "mig-7g", 0)))
    assert scheduled.placement is not None
    for _ in range(5):
        scheduled.report(large)
        assert scheduled.candidates("CUSTOM_MIG_1G") == 0
        scheduled.refusal("mig-1g", "CUSTOM_MIG_1G")
        assert scheduled.candidates("CUSTOM_MIG_7G") == 0
        scheduled.refusal("mig-7g", "CUSTOM_MIG_7G")
        used = scheduled.placement.usages(provider_uuid("mig-1g"))
        assert used == {"CUSTOM_MIG_1G": 1}, "what has it keeps it"
    scheduled.delete(bound)
    assert scheduled.offered("mig-7g", "CUSTOM_MIG_7G") == 1
    scheduled.report(large)
    scheduled.publish()
    assert scheduled.placement.provider(provider_uuid("mig-1g")) is None
    scheduled.bind("mig-7g", "CUSTOM_MIG_7G")


def test_k6_own_fewer_virtual_functions_than_before(scheduled: Machine) -> None:
    """Found with sriov_numvfs: 8 become 4, and a server has one of those that are gone. What
    is left is offered, all of it: that server's is not among them."""
    functions = [pci(f"0000:3d:01.{n}") for n in range(8)]
    scheduled.report(card("qat", part("qat", "CUSTOM_QAT", *functions)))
    bound = [scheduled.bind("qat", "CUSTOM_QAT") for _ in range(6)]
    for each in (bound[0], bound[1], bound[2], bound[3]):
        scheduled.delete(each)
    # 4 and 5 are in use.
    fewer = card("qat", part("qat", "CUSTOM_QAT", *functions[:5]))
    for _ in range(4):
        scheduled.report(fewer)
        assert scheduled.offered("qat", "CUSTOM_QAT") == 4
    servers = [scheduled.bind("qat", "CUSTOM_QAT") for _ in range(4)]
    assert scheduled.candidates("CUSTOM_QAT") == 0
    scheduled.refusal("qat", "CUSTOM_QAT")
    scheduled.delete(servers.pop())
    assert scheduled.offered("qat", "CUSTOM_QAT") == 1
    # Before the answer: with the allocation goes what it stood for.
    gone = bound[5]
    releasing.delete(scheduled.env, [gone.uuid])
    assert scheduled.placement is not None
    scheduled.placement.deallocate(gone.instance_uuid or "")
    assert scheduled.offered("qat", "CUSTOM_QAT") == 1
    scheduled.report(fewer)
    assert scheduled.offered("qat", "CUSTOM_QAT") == 1


def test_k6_own_a_deployable_is_renamed_with_its_host(scheduled: Machine) -> None:
    """Found with the move from short to full names of hosts: the driver puts the host's name
    into the deployable's, and a server has one of two functions."""
    functions = [pci("0000:42:00.1"), pci("0000:42:00.2")]
    scheduled.report(card("GPU-a", part("vm_gpu", "PGPU", *functions)))
    bound = scheduled.bind("vm_gpu", "PGPU")
    renamed = card("GPU-a", part("vm.example.org_gpu", "PGPU", *functions))
    for _ in range(4):
        scheduled.report(renamed)
        assert scheduled.offered("vm_gpu", "PGPU") == 0
        assert scheduled.offered("vm.example.org_gpu", "PGPU") == 1
        assert scheduled.candidates("PGPU") == 1
    scheduled.bind("vm.example.org_gpu", "PGPU")
    assert scheduled.candidates("PGPU") == 0
    scheduled.delete(bound)
    scheduled.report(renamed)
    assert scheduled.offered("vm.example.org_gpu", "PGPU") == 1
    assert scheduled.placement is not None
    scheduled.report(renamed)
    assert scheduled.placement.provider(provider_uuid("vm_gpu")) is None


def test_k6_own_a_class_is_renamed_while_in_use(scheduled: Machine) -> None:
    """Found with a change of the class from PGPU to one of the operator's own."""
    functions = [pci("0000:42:00.1"), pci("0000:42:00.2")]
    scheduled.report(card("GPU-a", part("gpu", "PGPU", *functions)))
    bound = scheduled.bind("gpu", "PGPU")
    for _ in range(3):
        scheduled.report(card("GPU-a", part("gpu", "CUSTOM_GPU", *functions)))
        assert scheduled.candidates("PGPU") == 0
        # One of two is free; the other's allocation is of the class that it had.
        assert scheduled.offered("gpu", "CUSTOM_GPU") == 1
    scheduled.bind("gpu", "CUSTOM_GPU")
    assert scheduled.candidates("CUSTOM_GPU") == 0
    scheduled.refusal("gpu", "CUSTOM_GPU")
    scheduled.delete(bound)
    scheduled.report(card("GPU-a", part("gpu", "CUSTOM_GPU", *functions)))
    assert scheduled.offered("gpu", "CUSTOM_GPU") == 1
