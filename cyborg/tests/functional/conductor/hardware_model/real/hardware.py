"""A host of the world as files: its cards, its kernel, and the guests that run there."""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyborg.drivers.host.pci import DEVICES
from cyborg.testing.drivers.breaking import BreakableFiles, State
from cyborg.testing.hosts import FakeHost, Kernel, PciFunction, Sriov, happen
from cyborg.testing.hosts.kernel.sysfs import driver_of, vfs_of
from cyborg.tests.functional.conductor.hardware_model.cards import (
    PIECES,
    Card,
    Design,
    Group,
    Host,
    piece,
)
from cyborg.tests.functional.conductor.hardware_model.real.process import Process

VENDOR, PRODUCT = "1e52", "401e"

#: What an operator allows: the cards, and what the host has beside them, none of which may be
#: offered: a display, a function in use with one that shares its group, a card without reset.
ALLOWED = ({"vendor_id": VENDOR}, {"address": "0000:61:00.1"}, {"vendor_id": "1a03"})

_OWN_DRIVER, _VFIO = "acme", "vfio-pci"
_SILENT = b"\xff" * 4096
_LANES = 16


@dataclass(slots=True)
class _Shown:
    """A card as the files show it."""

    card: Card
    cut: tuple[Group, ...] = (Group.WHOLE,)
    condition: str = "healthy"
    #: Its configuration spaces when it answers, by function.
    spaces: dict[str, bytes] | None = None


class End(enum.StrEnum):
    """How a guest ends, other than at once."""

    LATE = "while it is waited for"
    NOT = "not by itself"
    UNTOLD = "not by itself, and nobody can tell that it has not"
    #: Nobody has its function open, which is not given back to the host's driver.
    KEPT = "and libvirt keeps its function"


@dataclass(slots=True)
class Guest:
    """A server that runs, with the function that it has open."""

    function: str
    #: The host's driver that the function is given back to.
    driver: str | None
    #: It was told to end and has not, or only its end was not noticed.
    ends: End | None = None


class WatchedKernel(Kernel):
    """Says who was reset, and lets whoever writes die before and after."""

    def __init__(self, hardware: Hardware) -> None:
        super().__init__(hardware.root)
        self._hardware = hardware
        #: Resets work, and say that they do not.
        self.seems_to_fail = False

    def write(self, path: str, value: str | int) -> None:
        """Write for the agent."""
        process = self._hardware.process
        process.moment(lambda: OSError(errno.EIO, "The agent is dead", path))
        super().write(path, value)
        directory, _, name = path.rpartition("/")
        if name == "reset":
            self._hardware.note_reset(directory.rpartition("/")[2])
            if self.seems_to_fail:
                raise OSError(errno.EIO, "It seems to have failed", path)
        process.moment(lambda: OSError(errno.EIO, "The agent is dead", path))

    def write_by_host(self, path: str, value: str) -> None:
        """Write for somebody else."""
        super().write(path, value)


class Hardware:
    """The files of one host. :meth:`follow` makes them equal to what is in its slots."""

    def __init__(self, host: Host, directory: Path) -> None:
        """Build a host with empty slots, whose agent is still to come."""
        self.host = host
        self.root = directory / "root"
        self.process = Process(directory / "state")
        _build(self.root)
        self.kernel = WatchedKernel(self)
        self.files = BreakableFiles(self.root)
        #: By server.
        self.guests: dict[str, Guest] = {}
        #: Cards that have had a fatal error, and no reset since.
        self.broken: set[Card] = set()
        #: What must never be.
        self.wrongs: list[str] = []
        self._shown: dict[str, _Shown] = {}
        self._boots = 0
        self._name_boot()

    @property
    def boot_id(self) -> str:
        """Return what tells this boot from others."""
        return f"{self.host.name}-{self._boots}"

    # What the files show.

    def follow(self) -> None:
        """Show what is in the slots now."""
        cards = {
            address: card
            for address, card in zip(self.host.addresses(), self.host.cards, strict=True)
            if card is not None
        }
        for address, shown in list(self._shown.items()):
            if cards.get(address) is not shown.card:
                self._unplug(address)
        for address, card in cards.items():
            if address not in self._shown:
                self._plug(address, card)
            self._show(address, self._shown[address])

    def boot(self) -> None:
        """End all that runs, and begin anew with what is in the slots."""
        self._boots += 1
        self._name_boot()
        for address in list(self._shown):
            self._unplug(address)
        for card in self.host.cards:
            if card in self.broken:
                card.condition = "healthy"
        self.broken.clear()
        self.follow()

    def count_fatal_error(self, card: Card) -> None:
        """Let a card that answers have a fatal error: it has failed until it is reset."""
        [address] = [at for at, shown in self._shown.items() if shown.card is card]
        happen(self.root, "aer-fatal", f"{address}.0")
        self.broken.add(card)
        card.condition = "failed"

    def is_anybodys(self, card: Card) -> bool:
        """Return whether a guest has something of a card, or it is not with its driver."""
        [address] = [at for at, shown in self._shown.items() if shown.card is card]
        return self._driver(f"{address}.0") != _OWN_DRIVER or any(
            guest.function.startswith(address) for guest in self.guests.values()
        )

    def _plug(self, address: str, card: Card) -> None:
        board = PciFunction(
            f"{VENDOR}:{PRODUCT}",
            "120000",
            subsystem=f"{VENDOR}:{list(Design).index(card.design):04x}",
            driver=_OWN_DRIVER,
            width=_LANES,
            sriov=Sriov(PIECES[Group.FUNCTIONS], "401f"),
        )
        tree = self.kernel.tree()
        tree.add_function(f"{address}.0", tree.add_root_bus(int(address[5:7], 16)), board)
        self._shown[address] = _Shown(card)

    def _unplug(self, address: str) -> None:
        for server, guest in list(self.guests.items()):
            if guest.function.startswith(address):
                # It goes on without.
                self.kernel.busy.discard(guest.function)
                del self.guests[server]
        happen(self.root, "remove", f"{address}.0")
        self.broken.discard(self._shown.pop(address).card)

    def _show(self, address: str, shown: _Shown) -> None:
        card = shown.card
        if card.cut != shown.cut:
            count = 0 if card.cut == (Group.WHOLE,) else PIECES[card.cut[0]]
            self.kernel.write_by_host(f"{DEVICES}/{address}.0/sriov_numvfs", str(count))
            shown.cut = card.cut
            # New functions know nothing of what their card cannot.
            shown.condition = "healthy"
        condition = "healthy" if card in self.broken else card.condition
        if condition == shown.condition:
            return
        if shown.spaces is not None:
            for function, space in shown.spaces.items():
                self._put(function, "config", space)
            shown.spaces = None
        if condition == "failed":
            functions = [f"{address}.{n}" for n in range(3) if self._is_there(f"{address}.{n}")]
            shown.spaces = {
                function: (self._directory(function) / "config").read_bytes()
                for function in functions
            }
            for function in functions:
                self._put(function, "config", _SILENT)
        lanes = _LANES // 4 if condition == "degraded" else _LANES
        self._put(f"{address}.0", "current_link_width", f"{lanes}\n".encode())
        shown.condition = condition

    # Guests.

    def start(self, server: str, function: str) -> bool:
        """Let libvirt give a function to a guest; return False if that cannot be."""
        if not self._is_there(function) or vfs_of(self._directory(function)):
            return False
        if function in self.kernel.busy:
            self.wrongs.append(f"{server} gets {function} while it is a guest's: {self.guests}")
            return False
        driver = self._driver(function)
        self._rebind(function, driver, _VFIO)
        self.kernel.busy.add(function)
        self.guests[server] = Guest(function, None if driver == _VFIO else driver)
        return True

    def end(self, server: str, *, gives_back: bool = True) -> None:
        """Let a guest end, if it runs, and libvirt give back what it had."""
        guest = self.guests.pop(server, None)
        if guest is not None:
            self.kernel.busy.discard(guest.function)
            if gives_back:
                physical = guest.function.endswith(".0")
                self._rebind(guest.function, _VFIO, _OWN_DRIVER if physical else None)

    def stop(self, server: str, how: End | None) -> None:
        """Tell a guest to end, if it runs here."""
        if server in self.guests and how in (End.LATE, End.NOT, End.UNTOLD):
            self.guests[server].ends = how
            if how is End.UNTOLD:
                self._node(self.guests[server].function).unlink(missing_ok=True)
        else:
            self.end(server, gives_back=how is None)

    def end_late(self) -> None:
        """Let guests end that end late."""
        for server, guest in list(self.guests.items()):
            if guest.ends is End.LATE:
                self.end(server)

    def end_lingering(self) -> None:
        """Let all guests end that should have."""
        for server, guest in list(self.guests.items()):
            if guest.ends is not None:
                self.end(server)

    def note_reset(self, function: str) -> None:
        """Let a reset have its effect, which must be on nobody."""
        address, _, number = function.rpartition(".")
        reset = piece(Group.FUNCTIONS, int(number)) if int(number) else "whole"
        for server, guest in self.guests.items():
            at, _, other = guest.function.rpartition(".")
            if at == address and (int(number) == 0 or other == number):
                self.wrongs.append(f"{function} is reset under {server}, which has it open")
        shown = self._shown[address]
        if shown.condition != "failed":
            # What does not answer is as it was.
            shown.card.clean(reset)
        if int(number) == 0 and shown.card in self.broken:
            self.broken.discard(shown.card)
            shown.card.condition = "healthy"

    # What goes wrong.

    @contextmanager
    def unlisted(self) -> Iterator[None]:
        """Let nobody be able to look at the bus meanwhile."""
        self.files.broken[DEVICES] = State.FAILING
        try:
            yield
        finally:
            del self.files.broken[DEVICES]

    @contextmanager
    def unreadable(self, function: str) -> Iterator[None]:
        """Let a function's files not answer meanwhile."""
        path = f"{DEVICES}/{function}/vendor"
        self.files.broken[path] = State.FAILING
        try:
            yield
        finally:
            del self.files.broken[path]

    @contextmanager
    def refusing(self, function: str) -> Iterator[None]:
        """Let a function not be reset meanwhile."""
        path = f"{DEVICES}/{function}/reset"
        self.kernel.fail[path] = errno.EIO
        try:
            yield
        finally:
            del self.kernel.fail[path]

    @contextmanager
    def seeming_to_fail(self) -> Iterator[None]:
        """Let resets work and say meanwhile that they do not."""
        self.kernel.seems_to_fail = True
        try:
            yield
        finally:
            self.kernel.seems_to_fail = False

    @contextmanager
    def untold(self, function: str) -> Iterator[None]:
        """Let nobody be able to tell meanwhile who has a function."""
        node = self._node(function)
        away = node.with_name("away")
        if node.exists():
            node.rename(away)
        try:
            yield
        finally:
            if away.exists():
                away.rename(node)

    def _name_boot(self) -> None:
        path = self.root / "proc/sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.boot_id}\n")

    def _rebind(self, function: str, before: str | None, after: str | None) -> None:
        write = self.kernel.write_by_host
        override = _VFIO if after == _VFIO else "\n"
        write(f"{DEVICES}/{function}/driver_override", override)
        if before is not None and before == self._driver(function):
            write(f"/sys/bus/pci/drivers/{before}/unbind", function)
        if after is not None and self._driver(function) is None:
            write(f"/sys/bus/pci/drivers/{after}/bind", function)

    def _node(self, function: str) -> Path:
        """Return where guests open a function."""
        group = (self._directory(function) / "iommu_group").resolve().name
        return self.root / "dev/vfio" / group

    def _driver(self, function: str) -> str | None:
        return driver_of(self._directory(function))

    def _is_there(self, function: str) -> bool:
        return self._directory(function).exists()

    def _directory(self, function: str) -> Path:
        return self.root / f"{DEVICES.lstrip('/')}/{function}"

    def _put(self, function: str, name: str, content: bytes) -> None:
        path = self._directory(function) / name
        path.chmod(0o644)
        path.write_bytes(content)


def _build(root: Path) -> None:
    """Build a host without cards, whose other functions can be given to nobody."""
    host = FakeHost(root)
    host.add_chipset()
    port = host.add_root_bus(0x61)
    group = host.add_iommu_group()
    nic = PciFunction("8086:10d3", "020000", iommu_group=group, reset_methods="pm")
    host.add_function(
        "0000:61:00.0", port, PciFunction("8086:10d3", "020000", driver="e1000e", iommu_group=group)
    )
    host.add_function("0000:61:00.1", port, nic)
    no_reset = PciFunction(f"{VENDOR}:{PRODUCT}", "120000", reset_methods=None)
    host.add_function("0000:62:00.0", host.add_root_bus(0x62), no_reset)
    for driver in (_OWN_DRIVER, _VFIO):
        host.add_driver(driver)
