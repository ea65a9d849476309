"""Writes to a fake host do what the kernel does, and fail as they do there: PCI functions."""

from __future__ import annotations

import errno
import threading

import pytest

from cyborg.testing.hosts import Kernel, StillBlocked
from cyborg.tests.unit.testing.helpers import (
    DRIVERS,
    FUNCTIONS,
    GPU,
    QAT_THAT_IS_UP,
    VF,
    Make,
    refused,
)


def driver(kernel: Kernel, address: str) -> str | None:
    """Return which driver a function has."""
    link = kernel.path(f"{FUNCTIONS}/{address}/driver")
    return link.readlink().name if link.is_symlink() else None


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

    def test_numbers_that_are_refused(self, kernel: Make) -> None:
        host = kernel("rtx6000ada-audio")
        with refused(errno.ERANGE):
            host.write(f"{FUNCTIONS}/0000:51:00.0/sriov_numvfs", 33)
        for number in (-1, 65536, "many"):
            with refused(errno.EINVAL):
                host.write(f"{FUNCTIONS}/0000:51:00.0/sriov_numvfs", number)

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
        host = kernel("rtx6000ada-audio")
        with refused(errno.ENOENT):
            host.write(f"{FUNCTIONS}/0000:8a:00.0/sriov_numvfs", 1)

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


class TestFunctions:
    """What else a function can be told."""

    def test_it_is_reset(self, kernel: Make) -> None:
        host = kernel("t4-v100-mdev")
        host.write(f"{FUNCTIONS}/{GPU}/reset", 1)
        with refused(errno.EINVAL):
            host.write(f"{FUNCTIONS}/{GPU}/reset", 0)
        assert host.resets == {GPU: 1}

    def test_its_reset_methods_are_chosen(self, kernel: Make) -> None:
        host = kernel("rtx6000ada-audio")
        gpu = f"{FUNCTIONS}/0000:8a:00.0"
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
