"""PCI functions that an operator names: found as they are, given, and taken back clean.

What is offered is in :mod:`cyborg.drivers.pci.rules`. Nothing is done to a function when it is
given, since libvirt takes it from its driver and gives it back. A release waits until nobody has
it open, then lets the kernel reset it, then looks whether it answers.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

from oslo_config import cfg
from oslo_log import log

from cyborg.drivers.contract import (
    CleanStep,
    DeviceAway,
    DeviceCondition,
    Discovery,
    DriverEnvironment,
    DriverError,
    Handle,
    OptionGroup,
    Progress,
    StepwiseDriver,
)
from cyborg.drivers.host.neighbours import read_neighbours
from cyborg.drivers.host.pci import (
    Bus,
    Details,
    Function,
    address_of,
    is_vfio,
    read_details,
    said,
    slot_queue,
)
from cyborg.drivers.pci.conditions import Condition, condition_of
from cyborg.drivers.pci.memory import Given, Memory
from cyborg.drivers.pci.options import GROUP, OPTS
from cyborg.drivers.pci.products import Products, load_products
from cyborg.drivers.pci.reports import PciReports
from cyborg.drivers.pci.rules import decide, reason_alone
from cyborg.drivers.pci.survey import Survey
from cyborg.drivers.pci.whitelist import Entry, ignored_keys, parse, refused

LOG = log.getLogger(__name__)

#: Seconds between two looks whether a function is free, or its driver has changed.
_LOOK_AGAIN = 0.25

#: Seconds for which the function may still change hands after a guest has ended.
_SETTLING = 5.0

#: Seconds that a step takes beside what it waits for.
_OVERHEAD = 5.0

#: The steps of a release.
_WAIT, _RESET = "wait", "reset"

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class PciDriver(StepwiseDriver):
    """Whole PCI functions and virtual ones, given as they are."""

    name: ClassVar[str] = "pci_driver"
    contract_version: ClassVar[int] = 2
    needs_privileges: ClassVar[bool] = True
    OPTIONS: ClassVar[tuple[OptionGroup, ...]] = ((GROUP, OPTS),)

    def __init__(self, environment: DriverEnvironment) -> None:
        super().__init__(environment)
        host = environment.host
        self._host = host
        self._memory = Memory(host.state_file(self.name), _boot_id(environment))
        # Guards what an operator may change.
        self._lock = threading.Lock()
        self._entries: tuple[Entry, ...] = ()
        self._products = Products({}, {})
        self._warned: frozenset[int] = frozenset()

    def configure(self) -> None:
        """Read the whitelist and the products; refuse what allows one card as two things.

        :raises ConfigurationError: something is wrong with one of them.
        """
        options = self._options
        entries = parse(options.passthrough_whitelist)
        products = load_products(options.product_files)
        ignored = ignored_keys(entries)
        if ignored:
            LOG.warning(
                "[pci] passthrough_whitelist: keys that mean nothing here: %s",
                "; ".join(
                    f"{key} (entry {', '.join(map(str, numbers))})"
                    for key, numbers in ignored.items()
                ),
            )
        try:
            found = Survey(self._host, entries)
        except DriverError:
            # Every scan will say so.
            pass
        else:
            _refuse_contradictions(found)
        with self._lock:
            self._entries, self._products = entries, products

    def discover(self) -> Discovery:
        """Return the allowed functions of the host, by card.

        :raises DriverError: the host does not show its PCI devices at all.
        """
        with self._lock:
            entries, products = self._entries, self._products
        found = Survey(self._host, entries, pause=lambda: self.environment.sleep(_LOOK_AGAIN))
        forgiven = self._memory.fatal_errors()

        def condition(address: str, details: Details) -> Condition:
            before, errors = forgiven.get(address, 0), details.fatal_errors
            if errors is not None and errors < before:
                # It counts anew: another card, or the same one that was plugged in again.
                before = errors
                with suppress(DriverError):
                    self._memory.forgive(address, errors)
            return condition_of(details, before)

        reports = PciReports(self.name, self.environment.host_name, products, condition)
        decisions = decide(found)
        self._warn_of_idle_entries(entries, found)
        return reports.discovery(found, decisions)

    def queue_of(self, device: str) -> str:
        """Return the queue of a function's slot: the kernel may reset all of it."""
        return slot_queue(device)

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Look whether the function is still as it was offered, and free.

        One that was given and not taken back stays so: after a boot of the host its guest may run
        already. A board of which one has left this host dirty is reset: it may be that one.

        :raises DeviceAway: it is not there.
        """
        function, found = self._look_at(handle)
        self._refuse_unfit(function, found)
        board = _board(function, found.details(function.address))
        given = self._memory.given(function.address)
        if given is not None and given.board == board:
            return
        possession = self.environment.verbs.holders(function.address)
        if not possession.is_free:
            raise DriverError(f"{function.address} is not free: {possession}")
        self._memory.leave(function.address)
        if self._memory.has_left(board):
            self._reset(function)
            self._details_after(function)
        self._memory.give(function.address, Given(board, function.driver or ""))

    def clean_steps(self, handle: Handle) -> Sequence[CleanStep]:
        """Return the wait until nobody has the function, and its reset."""
        options = self._options
        # For a guest; then for libvirt, and for a card that does not answer.
        wait = options.release_patience + _OVERHEAD
        reset = _SETTLING + 2 * options.reset_timeout + _OVERHEAD
        return (
            CleanStep(_WAIT, "wait until nobody has the function open", wait),
            CleanStep(_RESET, "let the kernel reset it, and look whether it answers", reset),
        )

    def clean(self, handle: Handle, step: str, progress: Progress) -> None:
        """Wait until nobody has the function, or reset it if nobody has.

        :raises DeviceAway: it is not there, or another board is in its place.
        """
        function, _ = self._look_at(handle)
        self._refuse_another(function)
        if step == _WAIT:
            self._wait_until_free(function, self._options.release_patience)
            return
        # Somebody may have opened it since.
        self._wait_until_free(function, 0)
        function = self._settled(function)
        self._reset(function)
        details = self._details_after(function)
        errors = details.fatal_errors
        if errors is not None:
            self._memory.forgive(function.address, errors)
        self._memory.give(function.address, None)

    @property
    def _options(self) -> cfg.ConfigOpts.GroupAttr:
        group: cfg.ConfigOpts.GroupAttr = self.environment.conf.pci
        return group

    def _look_at(self, handle: Handle) -> tuple[Function, Survey]:
        """Return the function of a handle, and what is around it."""
        address = address_of(handle.info)
        with self._lock:
            entries = self._entries
        try:
            bus = read_neighbours(self._host, address)
        except OSError as error:
            raise DriverError(f"{address} cannot be read: {said(error)}") from error
        function = bus.functions.get(address)
        if function is None or handle.device not in (address, function.physical_function):
            raise DeviceAway(f"{handle.device} is not in this host, or has no {address}")
        return function, Survey(self._host, entries, bus)

    def _refuse_another(self, function: Function) -> None:
        given = self._memory.given(function.address)
        if given is None:
            return
        try:
            board = _board(function, read_details(self._host, function))
        except OSError as error:
            raise DriverError(f"{function.address} cannot be read: {said(error)}") from error
        if board != given.board:
            # Told once. What is asked for after that is about the board that is here.
            self._memory.leave(function.address)
            raise DeviceAway(f"another board is at {function.address}: {board}, not {given.board}")

    def _refuse_unfit(self, function: Function, found: Survey) -> None:
        """Refuse what a scan would not offer now."""
        address = function.address
        candidates = [each for each in found.candidates() if each.address == address]
        if address in found.unreadable:
            raise DriverError(f"{address} cannot be read: {found.unreadable[address]}")
        if not candidates:
            raise DriverError(f"{address} is not in [pci] passthrough_whitelist any more")
        try:
            reason = reason_alone(found, candidates[0])
        except OSError as error:
            raise DriverError(f"{address} cannot be read: {said(error)}") from error
        forgiven = self._memory.fatal_errors().get(address, 0)
        condition, why = condition_of(candidates[0].details, forgiven)
        if reason is None and condition is DeviceCondition.FAILED:
            reason = why
        if reason is not None:
            raise DriverError(f"{address} cannot be given: {reason}")

    def _wait_until_free(self, function: Function, patience: float) -> None:
        """Wait for so many seconds; a guest may end later than its server."""
        until = self.environment.clock() + patience
        while not (possession := self.environment.verbs.holders(function.address)).is_free:
            if self.environment.clock() >= until:
                raise DriverError(f"{function.address} is not free: {possession}")
            self.environment.sleep(_LOOK_AGAIN)

    def _settled(self, function: Function) -> Function:
        """Return the function as it is when libvirt has given it back.

        That may come later than the end of the guest. Where it does not come the function stays
        as it is: it is clean under any driver, and the next guest takes it from any.
        """
        given = self._memory.given(function.address)
        until = self.environment.clock() + _SETTLING
        while given is not None and _is_on_its_way(function, given):
            if self.environment.clock() >= until:
                break
            self.environment.sleep(_LOOK_AGAIN)
            again = read_neighbours(self._host, function.address).functions
            if function.address not in again:
                raise DeviceAway(f"{function.address} is not in this host")
            function = again[function.address]
        return function

    def _reset(self, function: Function) -> None:
        with self._lock:
            entries = self._entries
        found = Survey(self._host, entries, Bus({function.address: function}, {}))
        for candidate in found.candidates():
            if not candidate.details.reset_methods and candidate.entry.no_reset:
                LOG.warning(
                    "handed on as it is, since its entry says no_reset address=%s",
                    function.address,
                )
                return
        self.environment.verbs.reset(function.address)

    def _details_after(self, function: Function) -> Details:
        try:
            details = read_details(self._host, function)
        except OSError as error:
            raise DriverError(f"{function.address} cannot be read: {said(error)}") from error
        if details.silence is not None:
            raise DriverError(f"{function.address} after its reset: {details.silence}")
        return details

    def _warn_of_idle_entries(self, entries: Sequence[Entry], found: Survey) -> None:
        """Warn of entries that allow nothing, once as long as it is so."""
        idle = frozenset(each.number for each in entries) - found.used_entries
        for number in sorted(idle - self._warned):
            LOG.warning("[pci] passthrough_whitelist: entry %d allows no function", number)
        self._warned = idle


def _refuse_contradictions(found: Survey) -> None:
    for address, (first, *others) in found.allowed.items():
        for other in others:
            if not other.offers_the_same(first):
                raise refused(
                    other.number,
                    f"it allows {address} with another class or other traits than "
                    f"entry {first.number}",
                )


def _is_on_its_way(function: Function, given: Given) -> bool:
    """Return whether a function is still a guest's, or between two drivers."""
    return (function.driver or "") != given.driver and (
        function.driver is None or is_vfio(function.driver)
    )


def _board(function: Function, details: Details) -> str:
    return ":".join(
        (
            function.vendor_id,
            function.product_id,
            details.subsystem_vendor_id or "-",
            details.subsystem_id or "-",
        )
    )


def _boot_id(environment: DriverEnvironment) -> str:
    try:
        return environment.host.read(_BOOT_ID).decode(errors="replace").strip()
    except OSError:
        return ""
