"""Writes to a fake host do what the kernel does: what a card is divided into."""

from __future__ import annotations

import errno

import pytest

from cyborg.testing.hosts import Kernel, StillBlocked
from cyborg.testing.hosts.identifiers import invented_uuid
from cyborg.testing.hosts.vgpu import L40S_TYPES, creatable
from cyborg.tests.unit.testing.helpers import (
    FUNCTIONS,
    GPU,
    QAT,
    QAT_THAT_IS_UP,
    VF,
    Make,
    refused,
)

MDEVS = "/sys/bus/mdev/devices"
GPU_TYPES = f"{FUNCTIONS}/{GPU}/mdev_supported_types"

UUID = invented_uuid("one")


def available(kernel: Kernel, mdev_type: str) -> str:
    """Return how many more mediated devices of a type there can be."""
    return kernel.read(f"{GPU_TYPES}/{mdev_type}/available_instances").strip()


def vgpu(function: int) -> str:
    """Return where the vGPU of a virtual function is chosen."""
    return f"{FUNCTIONS}/0000:3d:00.{function}/nvidia/current_vgpu_type"


def creatable_of(kernel: Kernel, function: int) -> str:
    """Return which vGPUs a virtual function could be."""
    return kernel.read(f"{FUNCTIONS}/0000:3d:00.{function}/nvidia/creatable_vgpu_types")


class TestMediatedDevices:
    """Which mediated devices there are, and for which there is room."""

    def test_a_card_has_one_type(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        with refused(errno.EUSERS):
            host.write(f"{GPU_TYPES}/nvidia-230/create", UUID)
        host.mdev_full = errno.ENOSPC
        with refused(errno.ENOSPC):
            host.write(f"{GPU_TYPES}/nvidia-230/create", UUID)

    def test_one_is_made(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{GPU_TYPES}/nvidia-231/create", UUID.upper())
        assert host.path(f"{MDEVS}/{UUID}/mdev_type").resolve().name == "nvidia-231"
        assert available(host, "nvidia-231") == "6"

    def test_its_name_is_a_uuid(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        with refused(errno.EINVAL):
            host.write(f"{GPU_TYPES}/nvidia-231/create", "one")

    def test_its_name_is_its_own(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{GPU_TYPES}/nvidia-231/create", UUID)
        with refused(errno.EEXIST):
            host.write(f"{GPU_TYPES}/nvidia-231/create", UUID)

    def test_once_all_are_removed_there_is_room_for_any(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{GPU_TYPES}/nvidia-231/create", UUID)
        for device in list(host.path(MDEVS).iterdir()):
            host.write(f"{MDEVS}/{device.name}/remove", 1)
        assert available(host, "nvidia-230") == "16"
        assert list(host.path("/dev/vfio").iterdir()) == [host.path("/dev/vfio/vfio")]

    def test_one_that_is_used_is_waited_for(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{GPU_TYPES}/nvidia-231/create", UUID)
        host.busy.add(UUID)
        with pytest.raises(StillBlocked, match=UUID):
            host.write(f"{MDEVS}/{UUID}/remove", 1)

    def test_only_1_removes(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{GPU_TYPES}/nvidia-231/create", UUID)
        with refused(errno.EINVAL):
            host.write(f"{MDEVS}/{UUID}/remove", 0)

    def test_a_virtual_function_has_one_and_its_card_so_many(self, kernel: Make) -> None:
        host = kernel("a100-sriov-mdev")
        create = "mdev_supported_types/nvidia-471/create"
        with refused(errno.EUSERS):
            host.write(f"{FUNCTIONS}/0000:41:00.4/{create}", UUID)
        for function in (5, 6, 7):
            uuid = invented_uuid("one", function)
            host.write(f"{FUNCTIONS}/0000:41:00.{function}/{create}", uuid)
        with refused(errno.EUSERS):
            host.write(f"{FUNCTIONS}/0000:41:01.0/{create}", UUID)


class TestVgpus:
    """Which vGPUs there are by NVIDIA's VFIO, and for which there is room."""

    def test_those_of_a_card_are_of_one_size(self, kernel: Make) -> None:
        host = kernel("l40s-free")
        host.write(vgpu(4), 1155)
        with refused(errno.EIO):
            host.write(vgpu(5), 1147)
        host.write(vgpu(5), 1155)
        assert creatable_of(host, 6) == creatable({})

    def test_without_any_there_is_room_for_all_types(self, kernel: Make) -> None:
        host = kernel("l40s-free")
        host.write(vgpu(4), 1155)
        host.write(vgpu(4), 0)
        names = {number: each.name for number, each in L40S_TYPES.items()}
        assert creatable_of(host, 4) == creatable_of(host, 6) == creatable(names)

    def test_one_is_not_changed_into_another(self, kernel: Make) -> None:
        host = kernel("l40s-free")
        host.write(vgpu(4), 1155)
        host.write(vgpu(4), 1155)
        with refused(errno.EBUSY):
            host.write(vgpu(4), 1156)

    def test_one_that_is_used_stays(self, kernel: Make) -> None:
        host = kernel("l40s-free")
        host.write(vgpu(4), 1155)
        host.busy.add("0000:3d:00.4")
        with refused(errno.EBUSY):
            host.write(vgpu(4), 0)

    def test_a_type_is_a_number(self, kernel: Make) -> None:
        host = kernel("l40s-free")
        with refused(errno.EINVAL):
            host.write(vgpu(4), "large")


class TestQuickAssist:
    """How QuickAssist is configured."""

    def test_it_is_configured_while_it_is_down(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.EINVAL):
            host.write(f"{QAT_THAT_IS_UP}/qat/cfg_services", "dc")
        host.write(f"{QAT}/qat/cfg_services", "sym;dc")
        host.write(f"{QAT}/qat/state", "up")
        host.write(f"{QAT}/sriov_numvfs", 4)
        assert host.path(f"{QAT}/virtfn3").resolve().name == "0000:e8:00.4"

    def test_services_that_do_not_go_together(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        for services in ("aes", "sym;sym", "sym;asym;dc", "dcc;sym"):
            with refused(errno.EINVAL):
                host.write(f"{QAT}/qat/cfg_services", services)

    def test_it_has_virtual_functions_while_it_is_up(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.EINVAL):
            host.write(f"{QAT}/sriov_numvfs", 4)

    def test_it_takes_its_virtual_functions_down(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.write(f"{QAT_THAT_IS_UP}/qat/state", "down")
        assert host.read(f"{QAT_THAT_IS_UP}/qat/state") == "down\n"
        assert not host.path(f"{FUNCTIONS}/{VF}").is_symlink()

    def test_it_stays_up_while_it_is_used(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.busy.add(VF)
        with refused(errno.EBUSY):
            host.write(f"{QAT_THAT_IS_UP}/qat/state", "down")

    def test_states_that_are_no_change(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        for state in ("down", "sideways"):
            with refused(errno.EINVAL):
                host.write(f"{QAT}/qat/state", state)

    def test_the_state_of_something_else(self, kernel: Make) -> None:
        host = kernel("nvme-mixed")
        with refused(errno.EACCES):
            host.write(f"{FUNCTIONS}/0000:33:00.0/nvme/nvme1/state", "down")
