"""PCI cards of hosts that are built, a directory each, under the generic PCI driver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from arqs import Arq
from bootstrap import REPOSITORY
from commands import run
from hardware import Hardware
from waiting import expect

_FUNCTIONS = "/sys/bus/pci/devices"


class Function(NamedTuple):
    """A PCI function of a host."""

    host: str
    address: str

    @property
    def info(self) -> dict[str, str]:
        """What Nova must be given of it: padded, and in lower case."""
        domain, bus, rest = self.address.split(":")
        device, function = rest.split(".")
        return {"domain": domain, "bus": bus, "device": device, "function": function}


def function_of(arq: Arq) -> Function:
    """Return the function that an ARQ has."""
    info = arq["attach_handle_info"]
    return Function(arq["hostname"], "{domain}:{bus}:{device}.{function}".format_map(info))


class Cards(Hardware):
    """Whole cards or virtual functions.

    Changes are ``reset_seconds``, which each reset takes; ``failing``, functions whose reset
    fails; and ``held``, functions that a guest has open.
    """

    driver: ClassVar[str] = "pci_driver"
    resource_class: ClassVar[str] = "CUSTOM_PCI"
    attach_type: ClassVar[str] = "PCI"

    #: The host, one of ``python -m cyborg.testing.hosts --list``.
    scenario: ClassVar[str]
    #: ``[pci] passthrough_whitelist``.
    allowed: ClassVar[Mapping[str, str]]
    #: The addresses of the functions that can be given, by their card's.
    functions: ClassVar[Mapping[str, tuple[str, ...]]]

    def totals(self, host: str) -> dict[str, int]:
        """See :class:`Hardware`."""
        return {f"{host}_{card}": len(given) for card, given in self.functions.items()}

    def expect_handle(self, arq: Arq) -> None:
        """See :class:`Hardware`."""
        super().expect_handle(arq)
        known = [
            Function(arq["hostname"], address).info
            for addresses in self.functions.values()
            for address in addresses
        ]
        info = arq["attach_handle_info"]
        expect(info in known, f"an ARQ has {info}, which is no function of the host")

    def needs(self) -> tuple[bool, bool]:
        """See :class:`Hardware`."""
        return True, True

    def build(self) -> None:
        """See :class:`Hardware`."""
        for host in self.hosts:
            root = self._root(host)
            if root.exists():
                shutil.rmtree(root)
            python = str(REPOSITORY / ".venv" / "bin" / "python")
            arguments = ["--root", str(root), "--scenario", self.scenario]
            run([python, "-m", "cyborg.testing.hosts", *arguments])

    def change(self, **changes: Any) -> bool:
        """See :class:`Hardware`."""
        self._trouble(**changes)
        return False

    def mark(self) -> None:
        """See :class:`Hardware`."""
        for host in self.hosts:
            (self._root(host) / "writes").unlink(missing_ok=True)

    def settings(self) -> dict[str, dict[str, Any]]:
        """See :class:`Hardware`."""
        return {"pci": {"passthrough_whitelist": json.dumps(self.allowed)}}

    def agent(self, commands: Path, host: str) -> list[str]:
        """See :class:`Hardware`."""
        module = "cyborg.testing.drivers.service"
        return [str(commands / "python"), "-m", module, str(self._root(host)), "agent"]

    # -- looking

    def resets(self, function: Function, answer: str = "ok") -> int:
        """Return how often a function was reset in this flow, in the record of its host's kernel.

        :param answer: ``ok`` of those that have worked, ``asked`` of all that were begun.
        """
        wanted = _reset(function.address), answer
        record = self._root(function.host) / "writes"
        lines = record.read_text().splitlines() if record.exists() else []
        writes = [json.loads(line) for line in lines]
        return sum((write["path"], write["answer"]) == wanted for write in writes)

    def all_resets(self) -> int:
        """Return how many resets of all functions have worked."""
        return sum(
            self.resets(Function(host, address))
            for host in self.hosts
            for addresses in self.functions.values()
            for address in addresses
        )

    # -- how

    def _trouble(
        self,
        *,
        reset_seconds: float = 0,
        failing: Collection[Function] = (),
        held: Collection[Function] = (),
    ) -> None:
        slow = [address for addresses in self.functions.values() for address in addresses]
        for host in self.hosts:
            fail = {_reset(address): "EIO" for where, address in failing if where == host}
            hang = {_reset(address): reset_seconds for address in slow} if reset_seconds else {}
            self._put(host, "trouble", json.dumps({"fail": fail, "hang": hang}))
            self._put(host, "busy", "".join(f"{name}\n" for where, name in held if where == host))

    def _put(self, host: str, name: str, text: str) -> None:
        """Write a file of a host that its agent may read at the same time."""
        path = self._root(host) / name
        new = path.with_name(f"{name}.new")
        new.write_text(text)
        new.rename(path)

    def _root(self, host: str) -> Path:
        return self._folder / "hosts" / host


def _reset(address: str) -> str:
    return f"{_FUNCTIONS}/{address}/reset"


class VirtualFunctions(Cards):
    """One card a host, with sixteen virtual functions on vfio-pci."""

    traits: ClassVar[frozenset[str]] = frozenset({"CUSTOM_PCI_INTEL", "CUSTOM_PCI_PRODUCT_ID_4941"})
    scenario: ClassVar[str] = "qat-4xxx-16vf"
    allowed: ClassVar[Mapping[str, str]] = {"vendor_id": "8086", "product_id": "4941"}
    functions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "0000:6b:00.0": tuple(f"0000:6b:{n // 8:02x}.{n % 8}" for n in range(1, 17))
    }


class WholeCards(Cards):
    """Two cards a host, each of which is given as a whole."""

    traits: ClassVar[frozenset[str]] = frozenset({"CUSTOM_PCI_PRODUCT_ID_401E"})
    scenario: ClassVar[str] = "pci-groups"
    allowed: ClassVar[Mapping[str, str]] = {"vendor_id": "1e52", "product_id": "401e"}
    functions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        address: (address,) for address in ("0000:21:00.0", "0000:39:00.0")
    }
