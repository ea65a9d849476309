"""The PCI functions of a host, as the kernel shows them to everybody.

What a function *is* the kernel has read at the enumeration and remembers: ``vendor`` and
``device`` stay right when a card has fallen off the bus. Whether it still answers is told by
``config`` alone. Of a virtual function the first four bytes of that are ones in good health,
since its physical function tells the ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cyborg.drivers.errors import DriverError
from cyborg.drivers.host.contents import Contents
from cyborg.drivers.host.host import Host

DEVICES = "/sys/bus/pci/devices"
GROUPS = "/sys/kernel/iommu_groups"

#: A function's address, in the one spelling that we use and the kernel has.
ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\Z")

_ID = re.compile(r"0x([0-9a-f]{4})\Z", re.IGNORECASE)
_REVISION = re.compile(r"0x([0-9a-f]{2})\Z", re.IGNORECASE)
_CLASS = re.compile(r"0x([0-9a-f]{6})\Z", re.IGNORECASE)
_GROUP = re.compile(r"[0-9]{1,10}\Z")
_NUMBER = re.compile(r"-?[0-9]{1,9}\Z")
_WORD = re.compile(r"[a-z0-9_]{1,32}\Z")
_FATAL = re.compile(r"^TOTAL_ERR_FATAL ([0-9]{1,18})$", re.MULTILINE)

_FILES = {"vendor": 64, "device": 64, "class": 64}
_LINKS = ("driver", "iommu_group", "physfn")
#: Of configuration space; more than 64 bytes only root can read.
_CONFIG = 64
_DETAILS = {
    "boot_vga": 64,
    "config": _CONFIG,
    "numa_node": 64,
    "reset_method": 256,
    "revision": 64,
    "subsystem_device": 64,
    "subsystem_vendor": 64,
}
_PHYSICAL_DETAILS = {
    **_DETAILS,
    "aer_dev_fatal": 4096,
    "current_link_speed": 64,
    "current_link_width": 64,
    "max_link_width": 64,
    "power_state": 64,
}

#: Drivers that leave a function to whoever has its IOMMU group.
_TOLERATED = frozenset({"pcieport", "pci-stub"})


@dataclass(frozen=True, slots=True)
class Function:
    """A PCI function: what it is, and who has it."""

    address: str
    #: Four hexadecimal digits each.
    vendor_id: str
    product_id: str
    #: Six hexadecimal digits: class, subclass, programming interface.
    class_code: str
    #: The host's driver that it is bound to.
    driver: str | None
    iommu_group: str | None
    #: Of a virtual function: the address of its physical one, which may be away.
    physical_function: str | None

    @property
    def is_bridge(self) -> bool:
        """Whether it leads to others, and is given to nobody."""
        return self.class_code.startswith("06")

    @property
    def blocks_its_group(self) -> bool:
        """Whether nobody can be given another function of its IOMMU group."""
        # Also of a bridge: an ISA bridge's driver has the group for the host as any other.
        if self.driver is None or is_vfio(self.driver):
            return False
        return self.driver not in _TOLERATED

    @property
    def card(self) -> str:
        """The address of the physical function that it is, or is of."""
        return self.physical_function or self.address

    @property
    def slot(self) -> str:
        """Its address without the function's number."""
        return self.address.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Details:
    """What more can be seen of a function that somebody wants to offer."""

    #: Four hexadecimal digits; empty where nothing says them.
    subsystem_vendor_id: str
    subsystem_id: str
    revision: str
    #: None where the firmware has not said.
    numa_node: int | None
    #: As the kernel lists them, which is no promise that they work.
    reset_methods: tuple[str, ...]
    is_boot_display: bool
    #: Why it does not answer; None if it does, or if that cannot be told.
    silence: str | None
    #: Whether it can be told that it answers.
    is_heard: bool
    #: Errors since the host was booted; None where the function does not count them.
    fatal_errors: int | None
    #: Lanes now and at most, where both are known.
    link_width: tuple[int, int] | None
    link_speed: str
    power_state: str


@dataclass(frozen=True, slots=True)
class Bus:
    """All functions of a host, by address, and why some cannot be read."""

    functions: Mapping[str, Function]
    unreadable: Mapping[str, str]


def info_of(address: str) -> dict[str, str]:
    """Return what a handle says of a function, as Nova is given it: padded, in lower case."""
    domain, bus, rest = address.split(":")
    slot, number = rest.split(".")
    return {"domain": domain, "bus": bus, "device": slot, "function": number}


def address_of(info: Mapping[str, str]) -> str:
    """Return the address of a function of which :func:`info_of` has said this."""
    return "{domain}:{bus}:{device}.{function}".format_map(info)


def is_vfio(driver: str | None) -> bool:
    """Return whether a driver gives its functions to guests: vfio-pci, or a variant of it."""
    return driver is not None and driver.replace("_", "-").endswith("vfio-pci")


def read_bus(host: Host) -> Bus:
    """Return the functions that are there now.

    :raises DriverError: the host does not show its PCI devices at all.
    """
    try:
        names = host.list(DEVICES)
    except OSError as error:
        raise DriverError(f"{DEVICES} cannot be listed: {error.strerror}") from error
    addresses = [name for name in names if ADDRESS.match(name)]
    if not addresses:
        raise DriverError(f"{DEVICES} shows no PCI function")
    functions: dict[str, Function] = {}
    unreadable: dict[str, str] = {}
    looks = host.look_at_each([f"{DEVICES}/{address}" for address in addresses], _FILES, _LINKS)
    for address, found in zip(addresses, looks, strict=True):
        try:
            function = _function(host, address, found)
        except OSError as error:
            unreadable[address] = said(error)
        else:
            if function is not None:
                functions[address] = function
    return Bus(functions, unreadable)


def read_function(host: Host, address: str) -> Function | None:
    """Return a function; None if it is not there.

    :raises OSError: it is there, and what decides about it cannot be read.
    """
    return _function(host, address, host.look(f"{DEVICES}/{address}", _FILES, _LINKS))


def _function(host: Host, address: str, found: Contents) -> Function | None:
    if found.is_nothing and address not in host.list(DEVICES):
        # It went between the list and the look.
        return None
    return Function(
        address=address,
        vendor_id=_matched(found, "vendor", _ID),
        product_id=_matched(found, "device", _ID),
        class_code=_matched(found, "class", _CLASS),
        driver=found.text_or("driver", "") or None,
        iommu_group=_matched(found, "iommu_group", _GROUP, optional=True) or None,
        physical_function=_matched(found, "physfn", ADDRESS, optional=True) or None,
    )


def read_details(host: Host, function: Function) -> Details:
    """Return what more can be seen of a function.

    :raises OSError: what decides whether it can be given cannot be read.
    """
    found = read_details_of(host, [function])[function.address]
    if isinstance(found, OSError):
        raise found
    return found


def read_details_of(host: Host, functions: Iterable[Function]) -> dict[str, Details | OSError]:
    """Return the same of several functions, by address; or why it cannot be read."""
    result: dict[str, Details | OSError] = {}
    kinds: dict[bool, list[str]] = {}
    for function in functions:
        kinds.setdefault(function.physical_function is not None, []).append(function.address)
    for is_virtual, addresses in kinds.items():
        files = _DETAILS if is_virtual else _PHYSICAL_DETAILS
        looks = host.look_at_each([f"{DEVICES}/{address}" for address in addresses], files)
        for address, found in zip(addresses, looks, strict=True):
            try:
                result[address] = _details(found, is_virtual)
            except OSError as error:
                result[address] = error
    return result


def _details(found: Contents, is_virtual: bool) -> Details:
    methods = found.text_or("reset_method", "").split()
    return Details(
        subsystem_vendor_id=_tolerant(found, "subsystem_vendor", _ID),
        subsystem_id=_tolerant(found, "subsystem_device", _ID),
        revision=_tolerant(found, "revision", _REVISION),
        numa_node=_numa_node(found),
        reset_methods=tuple(method for method in methods if _WORD.match(method)),
        is_boot_display=found.text_or("boot_vga", "0") != "0",
        silence=_silence(found),
        is_heard=len(_config(found) or b"") == _CONFIG,
        fatal_errors=None if is_virtual else _fatal_errors(found),
        link_width=None if is_virtual else _link_width(found),
        link_speed="" if is_virtual else _optional(found, "current_link_speed"),
        power_state="" if is_virtual else _optional(found, "power_state"),
    )


def group_members(host: Host, groups: Iterable[str]) -> dict[str, Sequence[str] | OSError]:
    """Return by IOMMU group the addresses of its functions, or why they cannot be listed."""
    paths = {f"{GROUPS}/{group}/devices": group for group in groups}
    return {
        paths[path]: names
        if isinstance(names, OSError)
        else [name for name in names if ADDRESS.match(name)]
        for path, names in host.list_each(paths).items()
    }


def slot_queue(address: str) -> str:
    """Return the name of the queue of a function's slot."""
    return f"pci/{address.rpartition('.')[0]}"


def group_counter(group: str) -> str:
    """Return the name of the counter of an IOMMU group, which one owner takes whole."""
    return f"iommu/{group}"


def _config(found: Contents) -> bytes | None:
    try:
        return found.data("config")
    except OSError:
        return None


def _silence(found: Contents) -> str | None:
    """Return why a function does not answer; None if it does, or if nobody can tell."""
    try:
        config = found.data("config")
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        return f"its configuration space cannot be read: {error.strerror}"
    # Command and status: the ids before them are all ones of every virtual function.
    if len(config) >= 8 and config[4:8] == b"\xff\xff\xff\xff":
        return "it does not answer: its configuration space is all ones"
    return None


def said(error: OSError) -> str:
    """Return what an error says, in one line: which file, and why."""
    name = str(error.filename or "").rpartition("/")[2]
    what = error.strerror or str(error)
    return f"{name}: {what}" if name else what


def _matched(found: Contents, name: str, form: re.Pattern[str], *, optional: bool = False) -> str:
    """Return what a file says, where it has the right form; empty if it may be missing and is."""
    text = found.text_or(name, "") if optional else found.text(name)
    if optional and not text:
        return ""
    match = form.match(text)
    if match is None:
        raise OSError(None, "says what it cannot say", name)
    return match[match.lastindex or 0].lower()


def _optional(found: Contents, name: str) -> str:
    """Return what a file says that decides nothing; empty if it cannot be read."""
    try:
        return found.text(name)
    except OSError:
        return ""


def _tolerant(found: Contents, name: str, form: re.Pattern[str]) -> str:
    match = form.match(_optional(found, name))
    return "" if match is None else match[1].lower()


def _numa_node(found: Contents) -> int | None:
    text = _optional(found, "numa_node")
    node = int(text) if _NUMBER.match(text) else -1
    return None if node < 0 else node


def _fatal_errors(found: Contents) -> int | None:
    match = _FATAL.search(_optional(found, "aer_dev_fatal"))
    return None if match is None else int(match[1])


def _link_width(found: Contents) -> tuple[int, int] | None:
    texts = [_optional(found, name) for name in ("current_link_width", "max_link_width")]
    if not all(_NUMBER.match(text) for text in texts):
        return None
    return int(texts[0]), int(texts[1])
