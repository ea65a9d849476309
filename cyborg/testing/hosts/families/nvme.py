"""NVMe drives: those that are free, and those that the host needs. Commands cannot be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import KIB, PciFunction
from cyborg.testing.hosts.host import FakeHost

_FIRST_EUI = 0x36344730
_ZFS = "a ZFS member by its partition type: neither mounted nor held"


@dataclass(frozen=True, slots=True)
class _Drive:
    """A drive, and how it is used."""

    ids: str
    subsystem: str
    model: str
    serial: str
    firmware: str
    #: Of all of its namespaces, in bytes.
    size: int
    _: KW_ONLY
    driver: str = "nvme"
    namespaces: int = 1
    partitions: int = 0
    #: Which block device has it: ``dm-0``.
    holder: str | None = None
    #: Why it must not be reported.
    in_use: str | None = None


_MIXED = (
    _Drive(
        "8086:0a54",
        "8086:4702",
        "INTEL SSDPE2KX010T8",
        "BTLJ91820A1B1P0FGN",
        "VDV10152",
        1000204886016,
        partitions=3,
        in_use="system disk: has partitions that are mounted",
    ),
    _Drive(
        "144d:a80a",
        "144d:a812",
        "SAMSUNG MZQL23T8HCLS-00A07",
        "S64HNE0R500123",
        "GDC5602Q",
        3840755982336,
    ),
    _Drive(
        "1bd4:1000",
        "1bd4:0016",
        "NS8600G1U160",
        "ISN8600000001",
        "0R30",
        1600321314816,
        namespaces=2,
    ),
    _Drive(
        "1344:51c3",
        "1344:2b00",
        "Micron_7450_MTFDKCC3T8TFR",
        "2246E0A5C1D2",
        "E2MU200",
        3840755982336,
        driver="vfio-pci",
    ),
)


@scenario(
    "nvme-mixed",
    "NVMe: the system disk, a free drive, one with two namespaces, one on vfio-pci",
)
def mixed(host: FakeHost) -> None:
    """Four drives of four vendors."""
    host.add_chipset()
    for index, drive in enumerate(_MIXED):
        bus = 0x30 + 2 * index
        address = f"0000:{bus + 1:02x}:00.0"
        _add_drive(host, index, address, host.add_root_port(bus, "01.0"), drive)
        if drive.in_use:
            host.expect_no(address, drive.in_use)
            continue
        vendor, product = drive.ids.split(":")
        host.expect(
            address=address,
            kind="ssd",
            vendor=vendor,
            product=product,
            model=None if drive.driver == "vfio-pci" else drive.model,
            healthy=True,
            attach="PCI",
            resource_class="CUSTOM_SSD",
        )
    host.write(
        "proc/mounts",
        "/dev/nvme0n1p2 / ext4 rw,relatime 0 0\n/dev/nvme0n1p1 /boot/efi vfat rw,relatime 0 0\n",
    )
    _add_tools(host)


def _add_tools(host: FakeHost) -> None:
    unknown = 0xFFFF_FFFF
    status = {
        "global_erased": 1,
        "no_cmplted_passes": 0,
        "status": "(1) Most recent Sanitize Command Completed Successfully.",
    }
    sanitize = {
        "sprog": 65535,
        "sstat": status,
        "cdw10_info": 4,
        "time_over_write": unknown,
        "time_block_erase": unknown,
        "time_crypto_erase": unknown,
    }
    smart = {
        "critical_warning": 0,
        "temperature": 311,
        "avail_spare": 100,
        "spare_thresh": 10,
        "percent_used": 2,
        "media_errors": 0,
        "num_err_log_entries": 0,
        "unsafe_shutdowns": 14,
        "power_on_hours": 11234,
    }
    host.tool("nvme.sanitize-log.json", {"nvme1": sanitize})
    host.tool("nvme.smart-log.json", smart)


def _claimed(
    letters: str,
    in_use: str | None = None,
    *,
    partitions: int = 0,
    holder: str | None = None,
) -> _Drive:
    return _Drive(
        "1e0f:0007",
        "1e0f:0001",
        "KIOXIA KCD61LUL1T92",
        f"Z2X0A0{letters}001",
        "0105",
        1920383410176,
        partitions=partitions,
        holder=holder,
        in_use=in_use,
    )


_CLAIMED = (
    _claimed("SYS", "mounted", partitions=2),
    _claimed("SWAP", "swap: holders/ is empty", partitions=1),
    _claimed("LVM", "holder dm-0", holder="dm-0"),
    _claimed("ZFS", _ZFS, partitions=2),
    _claimed("FREE"),
)


@scenario(
    "nvme-claimed",
    "NVMe drives in use in four ways (mounted, swap, LVM, by ZFS label only), one free, "
    "and a fabrics controller",
)
def claimed(host: FakeHost) -> None:
    """Five drives of one model, and one that is none of this machine's."""
    host.add_chipset()
    for index, drive in enumerate(_CLAIMED):
        bus = 0x50 + 2 * index
        address = f"0000:{bus + 1:02x}:00.0"
        _add_drive(host, index, address, host.add_root_port(bus, "01.0"), drive)
        if drive.in_use:
            host.expect_no(address, drive.in_use)
            continue
        host.expect(
            address=address,
            kind="ssd",
            vendor="1e0f",
            product="0007",
            attach="PCI",
            serial=drive.serial,
            resource_class="CUSTOM_SSD",
        )
    _add_uses(host)
    fabrics = "sys/devices/virtual/nvme-fabrics/ctl/nvme7"
    values = {
        "transport": "tcp",
        "address": "traddr=192.0.2.7,trsvcid=4420",
        "state": "live",
        "model": "Linux",
        "serial": "9f0d1e5a",
    }
    host.attributes(fabrics, values)
    host.add_class_link("nvme", "nvme7", fabrics)
    host.note(note="nvme7 is a fabrics controller: no PCI function, never a device of ours")


def _add_uses(host: FakeHost) -> None:
    host.write(
        "proc/mounts",
        "/dev/nvme0n1p2 / ext4 rw,relatime 0 0\n/dev/mapper/vg0-srv /srv xfs rw 0 0\n",
    )
    host.write(
        "proc/swaps",
        "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n"
        "/dev/nvme1n1p1                          partition\t33554428\t0\t-2\n",
    )
    host.write(
        "run/udev/data/b259:9",
        "E:ID_FS_TYPE=zfs_member\nE:ID_PART_ENTRY_TYPE=6a898cc3-1dd2-11b2-99a6-080020736631\n",
    )


def _add_drive(host: FakeHost, index: int, address: str, port: str, drive: _Drive) -> None:
    function = PciFunction(
        drive.ids,
        "010802",
        subsystem=drive.subsystem,
        driver=drive.driver,
        width=4,
        bars=(32 * KIB,),
    )
    path = host.add_function(address, port, function)
    if drive.driver != "nvme":
        return
    name = f"nvme{index}"
    controller = f"{path}/nvme/{name}"
    host.attributes(controller, _controller_attributes(index, address, drive))
    host.triggers(controller, "reset_controller", "rescan_controller")
    host.add_class_link("nvme", name, controller)
    host.link(f"{controller}/device", path)
    host.node(name)
    for number in range(1, drive.namespaces + 1):
        _add_namespace(host, controller, index, number, drive)


def _controller_attributes(index: int, address: str, drive: _Drive) -> Mapping[str, object]:
    model, serial = f"{drive.model:<40}", f"{drive.serial:<20}"
    vendors = drive.ids.partition(":")[0] + drive.subsystem.partition(":")[0]
    return {
        "model": model,
        "serial": serial,
        "firmware_rev": f"{drive.firmware:<8}",
        "state": "live",
        "transport": "pcie",
        "address": address,
        "cntlid": 6 + index,
        "numa_node": 0,
        "subsysnqn": f"nqn.2014.08.org.nvmexpress:{vendors}{serial}{model}",
        "queue_count": 65,
        "sqsize": 1023,
        "cntrltype": "io",
        "dctype": "none",
        "dev": f"241:{index}",
    }


def _add_namespace(host: FakeHost, controller: str, index: int, number: int, drive: _Drive) -> None:
    name = f"nvme{index}n{number}"
    path = f"{controller}/{name}"
    values = {
        "size": drive.size // drive.namespaces // 512,
        "nsid": number,
        "ro": 0,
        "wwid": f"eui.{_FIRST_EUI + index:016x}{number:08x}{index:08x}",
        "queue/logical_block_size": 512,
        "queue/rotational": 0,
        "removable": 0,
    }
    host.attributes(path, values)
    for partition in range(1, drive.partitions + 1):
        host.attributes(f"{path}/{name}p{partition}", {"partition": partition})
    host.directory(f"{path}/holders")
    if drive.holder:
        holder = f"sys/devices/virtual/block/{drive.holder}"
        host.directory(holder)
        host.link(f"{path}/holders/{drive.holder}", holder)
    host.link(f"sys/block/{name}", path)
    host.add_class_link("block", name, path)
    host.node(name, 0o660)
