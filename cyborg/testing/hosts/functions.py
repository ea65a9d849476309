"""A PCI function, and the files in which the kernel shows it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from cyborg.testing.hosts.files import READ_ONLY, TRIGGER, WRITABLE
from cyborg.testing.hosts.identifiers import PciAddress

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

_BARS = 7
_FIRST_BAR = 0x200_0000_0000
_BAR_FLAGS = 0x14220C
_CPUS_OF_A_NODE = 64

_CORRECTABLE = "RxErr BadTLP BadDLLP Rollover Timeout NonFatalErr CorrIntErr HeaderOF"
_UNCORRECTABLE = (
    "Undefined DLP SDES TLP FCP CmpltTO CmpltAbrt UnxCmplt RxOF MalfTLP ECRC UnsupReq ACSViol "
    "UncorrIntErr BlockedTLP AtomicOpBlocked TLPBlockedErr PoisonTLPBlocked"
)


@dataclass(frozen=True, slots=True)
class Sriov:
    """What a physical function says of the virtual ones that it can have."""

    total: int
    #: As the kernel writes it: without leading zeros.
    vf_product: str
    _: KW_ONLY
    offset: int = 1
    stride: int = 1
    msix: int = 0


@dataclass(frozen=True, slots=True)
class PciFunction:
    """A PCI function. Numbers that are identifiers are hexadecimal texts without 0x."""

    #: Vendor and product: ``10de:20f1``.
    ids: str
    #: Class, subclass and programming interface: ``030200``.
    pci_class: str
    _: KW_ONLY
    subsystem: str = "0000:0000"
    revision: str = "00"
    driver: str | None = None
    #: The driver's module, where its name is another one.
    module: str | None = None
    override: str | None = None
    #: -1: unknown.
    numa: int = 0
    #: None: those of its NUMA node.
    cpus: str | None = None
    #: None: one of its own.
    iommu_group: int | None = None
    has_iommu: bool = True
    #: None: the function has no link of its own.
    speed: str | None = "16.0 GT/s PCIe"
    width: int = 16
    #: Sizes in bytes; 0: not there.
    bars: tuple[int, ...] = ()
    reset_methods: str | None = "flr bus"
    power_state: str = "D0"
    sriov: Sriov | None = None
    is_bridge: bool = False
    is_virtual: bool = False

    @property
    def vendor(self) -> str:
        """Return whose it is."""
        return self.ids.partition(":")[0]

    @property
    def product(self) -> str:
        """Return which it is of the vendor's."""
        return self.ids.partition(":")[2]

    @property
    def on_vfio(self) -> bool:
        """Return whether it is ready to be given to an instance."""
        return (self.driver or "").endswith("vfio-pci")


class Attribute(NamedTuple):
    """A file in the directory of a function."""

    name: str
    content: str | bytes
    mode: int = READ_ONLY


def attributes_of(function: PciFunction, address: PciAddress) -> Iterator[Attribute]:
    """Yield the files of a function. Links are not among them."""
    yield from _identity(function, address)
    yield from _placement(function)
    yield from _power(function)
    yield from _control(function)
    yield from _resources(function, address)
    yield Attribute("config", config_space(function), WRITABLE)
    if not (function.is_bridge or function.is_virtual):
        yield from _errors()
    if function.sriov:
        yield from _sriov(function.sriov)


def config_space(function: PciFunction) -> bytes:
    """Return the configuration space, with as much in it as drivers look at."""
    space = bytearray(4096)
    vendor, product = int(function.vendor, 16), int(function.product, 16)
    struct.pack_into("<HHHH", space, 0, vendor, product, 0x0406, 0x0010)
    space[8] = int(function.revision, 16)
    space[9:12] = bytes.fromhex(function.pci_class)[::-1]
    space[14] = function.is_bridge
    if not function.is_bridge:
        subsystem = (int(part, 16) for part in function.subsystem.split(":"))
        struct.pack_into("<HH", space, 0x2C, *subsystem)
    # Where capabilities begin: PCI Express, with the bit of function level reset.
    space[0x34] = 0x40
    can_flr = "flr" in (function.reset_methods or "")
    capability = (0x10, 0x0042 if function.is_bridge else 0x0002, can_flr << 28)
    struct.pack_into("<HHI", space, 0x40, *capability)
    # The first extended capability: advanced error reporting.
    struct.pack_into("<I", space, 0x100, 0x00020001)
    return bytes(space)


def _identity(function: PciFunction, address: PciAddress) -> Iterator[Attribute]:
    subsystem_vendor, subsystem_device = function.subsystem.split(":")
    modalias = _modalias(function)
    ids = {
        "vendor": function.vendor,
        "device": function.product,
        "subsystem_vendor": subsystem_vendor,
        "subsystem_device": subsystem_device,
        "class": function.pci_class,
        "revision": function.revision,
    }
    for name, value in ids.items():
        yield Attribute(name, f"0x{value}\n")
    yield Attribute("modalias", f"{modalias}\n")
    event = {
        "DRIVER": function.driver,
        "PCI_CLASS": function.pci_class.lstrip("0").upper(),
        "PCI_ID": function.ids.upper(),
        "PCI_SUBSYS_ID": function.subsystem.upper(),
        "PCI_SLOT_NAME": address,
        "MODALIAS": modalias,
    }
    lines = [f"{key}={value}\n" for key, value in event.items() if value is not None]
    yield Attribute("uevent", "".join(lines), WRITABLE)


def _modalias(function: PciFunction) -> str:
    subsystem_vendor, subsystem_device = function.subsystem.upper().split(":")
    base, sub, interface = (function.pci_class[at : at + 2].upper() for at in (0, 2, 4))
    return (
        f"pci:v0000{function.vendor.upper()}d0000{function.product.upper()}"
        f"sv0000{subsystem_vendor}sd0000{subsystem_device}bc{base}sc{sub}i{interface}"
    )


def _placement(function: PciFunction) -> Iterator[Attribute]:
    if function.numa < 0:
        cpus = "0-127"
    else:
        first = function.numa * _CPUS_OF_A_NODE
        cpus = f"{first}-{first + _CPUS_OF_A_NODE - 1}"
    yield Attribute("numa_node", f"{function.numa}\n", WRITABLE)
    yield Attribute("local_cpulist", f"{function.cpus or cpus}\n")
    if function.speed:
        for which in ("current", "max"):
            yield Attribute(f"{which}_link_speed", f"{function.speed}\n")
            yield Attribute(f"{which}_link_width", f"{function.width}\n")


def _power(function: PciFunction) -> Iterator[Attribute]:
    state = function.power_state
    if state == "D0" and function.on_vfio and not function.is_virtual:
        # Nobody has it open; that is no fault.
        state = "D3hot"
    status = "suspended" if state.startswith("D3") else "active"
    yield Attribute("power_state", f"{state}\n")
    yield Attribute("power/control", "on\n", WRITABLE)
    yield Attribute("power/runtime_status", f"{status}\n")
    yield Attribute("power/runtime_enabled", "forbidden\n")
    yield Attribute("d3cold_allowed", "1\n", WRITABLE)


def _control(function: PciFunction) -> Iterator[Attribute]:
    yield Attribute("irq", "0\n")
    yield Attribute("enable", "1\n", WRITABLE)
    yield Attribute("dma_mask_bits", "64\n")
    yield Attribute("consistent_dma_mask_bits", "64\n")
    yield Attribute("broken_parity_status", "0\n", WRITABLE)
    yield Attribute("ari_enabled", f"{int(function.is_virtual)}\n")
    yield Attribute("msi_bus", "1\n", WRITABLE)
    yield Attribute("driver_override", f"{function.override or '(null)'}\n", WRITABLE)
    if function.is_virtual:
        yield Attribute("sriov_vf_msix_count", "", TRIGGER)
    else:
        # Virtual functions have neither, on Linux 6.1 and 6.12.
        yield Attribute("remove", "", 0o220)
        yield Attribute("rescan", "", TRIGGER)
    if function.reset_methods:
        yield Attribute("reset_method", f"{function.reset_methods}\n", WRITABLE)
        yield Attribute("reset", "", TRIGGER)


def _resources(function: PciFunction, address: PciAddress) -> Iterator[Attribute]:
    start = _FIRST_BAR + (address.bus << 32)
    sizes = [*function.bars, *[0] * (_BARS - len(function.bars))]
    if function.sriov:
        sizes += [0] * 6
    lines = []
    for number, size in enumerate(sizes):
        bounds = (start, start + size - 1, _BAR_FLAGS) if size else (0, 0, 0)
        lines.append(" ".join(f"0x{value:016x}" for value in bounds) + "\n")
        start += size
        if size:
            yield Attribute(f"resource{number}", "", 0o600)
    yield Attribute("resource", "".join(lines))


def _errors() -> Iterator[Attribute]:
    kinds = {
        "correctable": (_CORRECTABLE, "COR"),
        "nonfatal": (_UNCORRECTABLE, "NONFATAL"),
        "fatal": (_UNCORRECTABLE, "FATAL"),
    }
    for kind, (names, total) in kinds.items():
        lines = [f"{name} 0\n" for name in [*names.split(), f"TOTAL_ERR_{total}"]]
        yield Attribute(f"aer_dev_{kind}", "".join(lines))


def _sriov(sriov: Sriov) -> Iterator[Attribute]:
    yield Attribute("sriov_totalvfs", f"{sriov.total}\n")
    yield Attribute("sriov_numvfs", "0\n", WRITABLE)
    yield Attribute("sriov_offset", f"{sriov.offset}\n")
    yield Attribute("sriov_stride", f"{sriov.stride}\n")
    yield Attribute("sriov_vf_device", f"{sriov.vf_product}\n")
    yield Attribute("sriov_drivers_autoprobe", "1\n", WRITABLE)
    yield Attribute("sriov_vf_total_msix", f"{sriov.msix}\n")
