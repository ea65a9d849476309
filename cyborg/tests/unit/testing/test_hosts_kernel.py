"""Writes to a fake host do what the kernel does, and fail as they do there."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cyborg.testing.hosts import Kernel, StillBlocked, build
from cyborg.testing.hosts.identifiers import invented_uuid
from cyborg.testing.hosts.vgpu import L40S_TYPES, creatable

FUNCTIONS = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"
MDEVS = "/sys/bus/mdev/devices"

GPU = "0000:5e:00.0"
GPU_TYPES = f"{FUNCTIONS}/{GPU}/mdev_supported_types"
QAT = f"{FUNCTIONS}/0000:e8:00.0"
QAT_THAT_IS_UP = f"{FUNCTIONS}/0000:6b:00.0"
VF = "0000:6b:00.1"

UUID = invented_uuid("one")

Make = Callable[[str], Kernel]


@pytest.fixture
def kernel(tmp_path: Path) -> Make:
    """A function that builds a host and returns its kernel."""

    def make(name: str) -> Kernel:
        build(name, tmp_path)
        made = Kernel(tmp_path)
        made.patience = 0.02
        return made

    return make


@contextmanager
def refused(code: int) -> Iterator[None]:
    """Expect an error number."""
    with pytest.raises(OSError) as caught:
        yield
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[code]


def driver(kernel: Kernel, address: str) -> str | None:
    """Return which driver a function has."""
    link = kernel.path(f"{FUNCTIONS}/{address}/driver")
    return link.readlink().name if link.is_symlink() else None


def available(kernel: Kernel, mdev_type: str) -> str:
    """Return how many more mediated devices of a type there can be."""
    return kernel.read(f"{GPU_TYPES}/{mdev_type}/available_instances").strip()


def vgpu(function: int) -> str:
    """Return where the vGPU of a virtual function is chosen."""
    return f"{FUNCTIONS}/0000:3d:00.{function}/nvidia/current_vgpu_type"


def creatable_of(kernel: Kernel, function: int) -> str:
    """Return which vGPUs a virtual function could be."""
    return kernel.read(f"{FUNCTIONS}/0000:3d:00.{function}/nvidia/creatable_vgpu_types")


class TestWrites:
    """What is true of every write."""

    def test_they_are_noted(self, kernel: Make) -> None:
        host = kernel("empty-host")
        host.write("/sys/bus/pci/rescan", " 1\n")
        host.write("/sys/bus/pci/rescan", "")
        with refused(errno.ENODEV):
            host.write("/sys/bus/pci/drivers_probe", GPU)
        assert host.log == [
            ("/sys/bus/pci/rescan", "1"),
            ("/sys/bus/pci/rescan", ""),
            ("/sys/bus/pci/drivers_probe", GPU),
        ]

    def test_nothing_is_no_write(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        override = f"{FUNCTIONS}/{GPU}/driver_override"
        host.write(override, "vfio-pci")
        host.write(override, "")
        assert host.read(override) == "vfio-pci\n"
        host.write(override, "\n")
        assert host.read(override) == "(null)\n"

    def test_a_file_keeps_what_nobody_answers(self, kernel: Make) -> None:
        host = kernel("e810-vfs")
        autoprobe = f"{FUNCTIONS}/0000:17:00.0/sriov_drivers_autoprobe"
        host.write(autoprobe, 0)
        assert host.read(autoprobe) == "0\n"

    def test_files_that_are_not_there(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.ENOENT):
            host.write(f"{FUNCTIONS}/{VF}/remove", 1)
        with refused(errno.ENODEV):
            host.write(f"{FUNCTIONS}/{GPU}/reset", 1)

    def test_one_fails_always(self, kernel: Make) -> None:
        host = kernel("empty-host")
        host.fail["/sys/bus/pci/rescan"] = errno.EIO
        for _ in range(2):
            with refused(errno.EIO):
                host.write("/sys/bus/pci/rescan", 1)

    def test_one_fails_once_with_each_number(self, kernel: Make) -> None:
        host = kernel("empty-host")
        host.fail["/sys/bus/pci/rescan"] = [errno.EIO, errno.EAGAIN]
        for code in (errno.EIO, errno.EAGAIN):
            with refused(code):
                host.write("/sys/bus/pci/rescan", 1)
        host.write("/sys/bus/pci/rescan", 1)

    def test_one_takes_its_time(self, kernel: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        host = kernel("empty-host")
        slept: list[float] = []
        monkeypatch.setattr("time.sleep", slept.append)
        host.hang["/sys/bus/pci/rescan"] = 30
        host.write("/sys/bus/pci/rescan", 1)
        assert slept == [30]

    def test_one_that_blocks_returns_when_the_device_is_free(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.busy.add(VF)
        host.patience = 60
        threading.Timer(0.02, host.busy.clear).start()
        host.write(f"{QAT_THAT_IS_UP}/sriov_numvfs", 0)
        assert not host.path(f"{FUNCTIONS}/{VF}").is_symlink()


class TestDrivers:
    """Which driver a function has."""

    def test_override_and_probe(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{FUNCTIONS}/{GPU}/driver_override", "vfio-pci")
        with refused(errno.EBUSY):
            host.write(f"{DRIVERS}/nvidia/bind", GPU)
        host.write(f"{DRIVERS}/nvidia/unbind", GPU)
        assert driver(host, GPU) is None
        host.write("/sys/bus/pci/drivers_probe", GPU)
        assert driver(host, GPU) == "vfio-pci"
        group = host.path(f"{FUNCTIONS}/{GPU}/iommu_group").resolve().name
        assert host.path(f"/dev/vfio/{group}").exists()

    def test_an_override_is_not_too_long(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        with refused(errno.EINVAL):
            host.write(f"{FUNCTIONS}/{GPU}/driver_override", "x" * 4095)

    def test_another_driver_than_the_override(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{DRIVERS}/nvidia/unbind", GPU)
        host.write(f"{FUNCTIONS}/{GPU}/driver_override", "vfio-pci")
        with refused(errno.ENODEV):
            host.write(f"{DRIVERS}/nvidia/bind", GPU)

    def test_vfio_takes_what_it_is_told_to(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.write(f"{DRIVERS}/vfio-pci/unbind", VF)
        with refused(errno.ENODEV):
            host.write(f"{DRIVERS}/vfio-pci/bind", VF)
        host.vfio_ids.add("8086:4941")
        host.write(f"{DRIVERS}/vfio-pci/bind", VF)
        assert driver(host, VF) == "vfio-pci"

    def test_unbind_where_it_is_not_bound(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.ENODEV):
            host.write(f"{DRIVERS}/4xxx/unbind", VF)

    def test_unbind_waits_for_the_user(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.busy.add(VF)
        with pytest.raises(StillBlocked, match=VF):
            host.write(f"{DRIVERS}/vfio-pci/unbind", VF)
        assert driver(host, VF) is None

    def test_unbind_takes_virtual_functions_down(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.write(f"{DRIVERS}/4xxx/unbind", "0000:6b:00.0")
        assert host.read(f"{QAT_THAT_IS_UP}/sriov_numvfs") == "0\n"
        assert not host.path(f"{FUNCTIONS}/{VF}").is_symlink()

    def test_vfio_without_an_iommu(self, kernel: Make) -> None:
        host = kernel("iommu-off")
        address = "0000:71:00.0"
        host.write(f"{DRIVERS}/ice/unbind", address)
        host.write(f"{FUNCTIONS}/{address}/driver_override", "vfio-pci")
        host.write("/sys/bus/pci/drivers_probe", address)
        assert driver(host, address) is None

    def test_probe_finds_drivers_of_virtual_functions(self, kernel: Make) -> None:
        host = kernel("e810-vfs")
        address = "0000:17:01.0"
        autoprobe = f"{FUNCTIONS}/0000:17:00.0/sriov_drivers_autoprobe"
        host.write(f"{DRIVERS}/iavf/unbind", address)
        host.write(autoprobe, 0)
        host.write("/sys/bus/pci/drivers_probe", address)
        assert driver(host, address) is None
        host.write(autoprobe, 1)
        host.write("/sys/bus/pci/drivers_probe", address)
        assert driver(host, address) == "iavf"


class TestVirtualFunctions:
    """How many virtual functions there are."""

    def test_they_are_made(self, kernel: Make) -> None:
        host = kernel("e810-vfs")
        host.write(f"{FUNCTIONS}/0000:17:00.1/sriov_numvfs", 2)
        second = host.path(f"{FUNCTIONS}/0000:17:00.1/virtfn1")
        # 136 after 17:00.1.
        assert second.resolve().name == "0000:17:11.1"
        assert driver(host, second.resolve().name) == "iavf"

    def test_they_get_no_driver_if_none_is_looked_for(self, kernel: Make) -> None:
        host = kernel("e810-vfs")
        host.write(f"{FUNCTIONS}/0000:17:00.1/sriov_drivers_autoprobe", 0)
        host.write(f"{FUNCTIONS}/0000:17:00.1/sriov_numvfs", 1)
        assert driver(host, "0000:17:11.0") is None

    def test_there_are_some_already(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.EBUSY):
            host.write(f"{QAT_THAT_IS_UP}/sriov_numvfs", 8)
        host.write(f"{QAT_THAT_IS_UP}/sriov_numvfs", 16)

    @pytest.mark.parametrize(
        ("count", "code"),
        [(17, errno.ERANGE), (-1, errno.EINVAL), (65536, errno.EINVAL), ("many", errno.EINVAL)],
    )
    def test_numbers_that_are_refused(self, kernel: Make, count: str | int, code: int) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(code):
            host.write(f"{QAT}/sriov_numvfs", count)

    @pytest.mark.parametrize(("written", "count"), [("0x10", 16), ("010", 8), ("4", 4)])
    def test_numbers_are_written_as_in_c(self, kernel: Make, written: str, count: int) -> None:
        host = kernel("e810-vfs")
        host.write(f"{FUNCTIONS}/0000:17:00.1/sriov_numvfs", written)
        assert host.read(f"{FUNCTIONS}/0000:17:00.1/sriov_numvfs") == f"{count}\n"

    def test_those_that_are_used_are_waited_for(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        host.busy.add(VF)
        with pytest.raises(StillBlocked, match=VF):
            host.write(f"{QAT_THAT_IS_UP}/sriov_numvfs", 0)
        assert host.path(f"{FUNCTIONS}/{VF}").exists()

    def test_drivers_that_make_none(self, kernel: Make) -> None:
        host = kernel("l40s-free")
        with refused(errno.ENOENT):
            host.write(f"{FUNCTIONS}/0000:3d:00.0/sriov_numvfs", 0)

    def test_a_port_must_be_released_first(self, kernel: Make) -> None:
        host = kernel("pac-d5005")
        with refused(errno.EINVAL):
            host.write(f"{FUNCTIONS}/0000:3b:00.0/sriov_numvfs", 1)

    def test_interrupts_are_shared_out(self, kernel: Make) -> None:
        host = kernel("e810-vfs")
        interrupts = f"{FUNCTIONS}/0000:17:01.0/sriov_vf_msix_count"
        with refused(errno.EBUSY):
            host.write(interrupts, 4)
        host.write(f"{DRIVERS}/iavf/unbind", "0000:17:01.0")
        host.write(interrupts, 4)
        with refused(errno.EINVAL):
            host.write(interrupts, "many")

    def test_drivers_that_share_out_no_interrupts(self, kernel: Make) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.EOPNOTSUPP):
            host.write(f"{FUNCTIONS}/{VF}/sriov_vf_msix_count", 4)


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
        host = kernel("l40s-vendor-vfio")
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

    @pytest.mark.parametrize("services", ["aes", "sym;sym", "sym;asym;dc", "dcc;sym"])
    def test_services_that_do_not_go_together(self, kernel: Make, services: str) -> None:
        host = kernel("qat-4xxx-16vf")
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

    @pytest.mark.parametrize("state", ["down", "sideways"])
    def test_states_that_are_no_change(self, kernel: Make, state: str) -> None:
        host = kernel("qat-4xxx-16vf")
        with refused(errno.EINVAL):
            host.write(f"{QAT}/qat/state", state)

    def test_the_state_of_something_else(self, kernel: Make) -> None:
        host = kernel("nvme-mixed")
        with refused(errno.EACCES):
            host.write(f"{FUNCTIONS}/0000:33:00.0/nvme/nvme1/state", "down")


class TestFunctions:
    """What else a function can be told."""

    def test_it_is_reset(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{FUNCTIONS}/{GPU}/reset", 1)
        with refused(errno.EINVAL):
            host.write(f"{FUNCTIONS}/{GPU}/reset", 0)
        assert host.resets == {GPU: 1}

    def test_its_reset_methods_are_chosen(self, kernel: Make) -> None:
        host = kernel("hgx-h100-8gpu")
        gpu = f"{FUNCTIONS}/0000:1b:00.0"
        with refused(errno.EINVAL):
            host.write(f"{gpu}/reset_method", "pm")
        host.write(f"{gpu}/reset_method", "\n")
        with refused(errno.ENOTTY):
            host.write(f"{gpu}/reset", 1)
        host.write(f"{gpu}/reset_method", "default")
        assert host.read(f"{gpu}/reset_method") == "flr bus\n"

    def test_it_is_removed(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.busy.add(GPU)
        with pytest.raises(StillBlocked, match=GPU):
            host.write(f"{FUNCTIONS}/{GPU}/remove", 1)
        host.busy.clear()
        host.write(f"{FUNCTIONS}/{GPU}/remove", 1)
        with refused(errno.ENODEV):
            host.write(f"{FUNCTIONS}/{GPU}/reset", 1)

    def test_a_quota_is_set_while_nobody_uses_it(self, kernel: Make) -> None:
        host = kernel("intel-flex-sriov")
        quota = f"{FUNCTIONS}/0000:4d:00.0/sriov_admin/vf2/profile/vram_quota"
        host.write(quota, 1 << 30)
        assert host.read(quota) == f"{1 << 30}\n"
        with refused(errno.EINVAL):
            host.write(quota, "much")
        host.busy.add("0000:4d:00.2")
        with refused(errno.EIO):
            host.write(quota, 1 << 31)

    def test_a_partition_is_one_that_there_is(self, kernel: Make) -> None:
        host = kernel("mi300x-8")
        partition = f"{FUNCTIONS}/0000:05:00.0/current_compute_partition"
        host.write(partition, "DPX")
        assert host.read(partition) == "DPX\n"
        with refused(errno.EINVAL):
            host.write(partition, "TPX")
        host.busy.add("0000:05:00.0")
        with refused(errno.EBUSY):
            host.write(partition, "SPX")
