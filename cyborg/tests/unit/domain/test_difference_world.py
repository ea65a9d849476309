"""Reports of a machine whose cards are moved, pulled and swapped, one after the other.

The cards are hardware: each has a serial, functions, and what their users left on them. The
record is what the differences make of it. Whatever the order: no difference loses what must
stay, no piece of hardware has two rows, and what is free according to the record is clean.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from cyborg.domain.hardware import is_address
from cyborg.domain.inventory import DeviceReport, UnseenDevice
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.recorded import RecordedDevice, RecordedHandle
from cyborg.tests.unit.domain.cards import slot
from cyborg.tests.unit.domain.record import INTERVAL, Record

READY, UNCLEAN, QUARANTINED, VANISHED = (
    HandleCondition.READY,
    HandleCondition.UNCLEAN,
    HandleCondition.QUARANTINED,
    HandleCondition.VANISHED,
)
SLOTS = ("01", "02", "03", "04")
SERIALS = ("A", "B", "C")

#: What happens, by the name of the method and its arguments.
Step = tuple[str, tuple[Any, ...]]


@dataclass
class Card:
    """A card, wherever it is."""

    serial: str
    functions: int
    #: None: in no slot.
    bus: str | None
    #: Where it was at the last report.
    last: str | None = None
    #: Functions on which somebody may have left something.
    dirty: set[int] = field(default_factory=set)


class World:
    """One machine, its agent, and those who use its cards."""

    def __init__(self) -> None:
        self.cards = [
            Card(serial, functions, bus)
            for serial, functions, bus in zip(SERIALS, (1, 2, 2), SLOTS, strict=False)
        ]
        self.record = Record()
        #: Nothing was moved since the last report.
        self.is_fresh = False
        #: Bus of a card whose serial cannot be read just now.
        self.nameless: str | None = None
        #: Keys of handles that are being cleaned.
        self.cleaning: list[str] = []

    def live(self, steps: list[Step]) -> None:
        """Let all of this happen, and see after each of it that all is well."""
        for name, arguments in steps:
            getattr(self, name)(*arguments)
            self.check()
        self.come_to_rest()

    # Hardware

    def move(self, number: int, bus: str | None) -> None:
        """Put a card somewhere, and what is there where it was."""
        card = self.cards[number]
        for other in self.cards:
            if other.bus == bus and bus is not None:
                other.bus = card.bus
        card.bus = bus
        self.is_fresh = False

    def at(self, key: str) -> tuple[Card, int] | None:
        """Return the card and the function at an address."""
        bus, function = key[5:7], int(key[-1])
        for card in self.cards:
            if card.bus == bus and function < card.functions:
                return card, function
        return None

    # What the agent says

    def report(
        self,
        nameless: str | None = None,
        hidden: str | None = None,
        single: str | None = None,
        seconds: float = INTERVAL,
    ) -> None:
        """Report all cards: one by its address, one not at all, one with its first function."""
        self._start_servers()
        # Not one that was moved at the same time: nobody could tell it from any other.
        unmoved = [card for card in self.cards if card.bus and card.last == card.bus]
        self.nameless = nameless if nameless in [card.bus for card in unmoved] else None
        hiding = [card for card in unmoved if card.serial == hidden]
        unseen = [UnseenDevice("test", card.serial) for card in hiding if card.bus is not None]
        seen = [self._seen(card, single) for card in self.cards if card not in hiding]
        for card in self.cards:
            card.last = card.bus
        reports = [each for each in seen if each is not None]
        self.record.report(*reports, seconds=seconds, unseen=tuple(unseen))
        self.is_fresh = True
        self._clean()

    def _start_servers(self) -> None:
        """Servers get whatever is at the address that they have."""
        for _, _, handle in self.record.handles():
            found = self.at(handle.key)
            if found is not None and handle.is_owned:
                found[0].dirty.add(found[1])

    def fail(self) -> None:
        """The driver cannot look."""
        self.record.report(failed_drivers=("test",))

    def _seen(self, card: Card, single: str | None) -> DeviceReport | None:
        if card.bus is None:
            return None
        identity = f"0000:{card.bus}:00.0" if card.bus == self.nameless else card.serial
        return slot(identity, card.bus, 1 if card.serial == single else card.functions)

    def _clean(self) -> None:
        """Begin to clean what is unclean and there."""
        for device, _, handle in self.record.handles():
            if (
                handle.condition is UNCLEAN
                and not (handle.is_owned or handle.is_busy or handle.absence.count)
                and device.presence is Presence.PRESENT
                and device.id not in self.record.last.waiting
            ):
                self.record.set_handle(handle.key, is_busy=True)
                self.cleaning.append(handle.key)

    def cleaned(self, works: bool) -> None:
        """The agent answers what it was to clean for nobody."""
        if not self.cleaning:
            return
        key = self.cleaning.pop(0)
        device, handle = self._row(key)
        found = self._found_by_agent(device, key)
        after = handle.condition
        if found is not None:
            after = READY if handle.absence.count == 0 else VANISHED
            if works:
                found[0].dirty.discard(found[1])
            else:
                after = QUARANTINED
        self.record.set_handle(key, is_busy=False, condition=after)

    def _found_by_agent(self, device: RecordedDevice, key: str) -> tuple[Card, int] | None:
        found = self.at(key)
        identity = device.report.identity
        if found is None or is_address(identity):
            return found
        is_readable = found[0].bus != self.nameless
        return found if is_readable and found[0].serial == identity else None

    def _row(self, key: str) -> tuple[RecordedDevice, RecordedHandle]:
        [found] = [
            (device, handle) for device, _, handle in self.record.handles() if handle.key == key
        ]
        return found

    # Users

    def bind(self, number: int) -> None:
        """Give what is free to somebody, who leaves something on it."""
        free = [
            handle
            for device, _, handle in self.record.handles()
            if handle.condition is READY
            and not handle.is_owned
            and device.presence is not Presence.MISSING
        ]
        # What was moved since the last report cannot be known.
        if not free or not self.is_fresh:
            return
        key = free[number % len(free)].key
        found = self.at(key)
        if found is not None:
            found[0].dirty.add(found[1])
        self.record.set_handle(key, is_owned=True)

    def release(self, number: int, works: bool) -> None:
        """Take something back: its agent cleans it, fails, or does not find it."""
        owned = [(device, handle) for device, _, handle in self.record.handles() if handle.is_owned]
        if not owned:
            return
        device, handle = owned[number % len(owned)]
        found = self._found_by_agent(device, handle.key)
        after = UNCLEAN
        if found is not None and not works:
            after = QUARANTINED
        elif found is not None:
            found[0].dirty.discard(found[1])
            after = handle.condition if device.presence is Presence.PRESENT else UNCLEAN
        self.record.set_handle(handle.key, is_owned=False, condition=after)

    # What must be so

    def check(self) -> None:
        """Never given to two, never handed on dirty: what is free is clean."""
        keys = [handle.key for _, _, handle in self.record.handles()]
        assert len(keys) == len(set(keys))
        if not self.is_fresh:
            return
        for device, _, handle in self.record.handles():
            found = self.at(handle.key)
            if found is None or handle.is_owned or handle.condition is not READY:
                continue
            if device.presence is not Presence.MISSING:
                card, function = found
                assert function not in card.dirty, f"{handle.key} of {card} is free"

    def come_to_rest(self) -> None:
        """When all is where it is, readable, and given back, all of it can be had."""
        while any(handle.is_owned for _, _, handle in self.record.handles()):
            self.release(0, True)
        for _ in range(6):
            self.report()
            while self.cleaning:
                self.cleaned(True)
            self.check()
        assert self.record.last.settled
        present = {card.serial for card in self.cards if card.bus is not None}
        for device in self.record.devices:
            is_there = device.report.identity in present
            assert (device.presence is Presence.PRESENT) == is_there, device
        conditions = {
            handle.key: handle.condition
            for _, _, handle in self.record.handles()
            if not handle.absence.count
        }
        for card in self.cards:
            for function in range(card.functions if card.bus else 0):
                assert conditions[f"0000:{card.bus}:00.{function}"] in (READY, QUARANTINED)


def history(seed: int, length: int) -> list[Step]:
    """Return what happens to a machine."""
    chance = random.Random(seed)
    steps: list[Step] = []
    for _ in range(length):
        name = chance.choices(
            ["move", "report", "fail", "cleaned", "bind", "release"], [6, 12, 1, 5, 8, 6]
        )[0]
        arguments: tuple[Any, ...] = ()
        if name == "move":
            arguments = (chance.randrange(3), chance.choice([*SLOTS, None]))
        elif name == "report":
            odd = [None] * 8
            arguments = (
                chance.choice([*odd, *SLOTS]),
                chance.choice([*odd, *SERIALS]),
                chance.choice([*odd, *SERIALS]),
                chance.choice([INTERVAL, INTERVAL, INTERVAL, 1.0]),
            )
        elif name == "cleaned":
            arguments = (chance.random() < 0.9,)
        elif name == "bind":
            arguments = (chance.randrange(10),)
        elif name == "release":
            arguments = (chance.randrange(10), chance.random() < 0.9)
        steps.append((name, arguments))
    return steps


@pytest.mark.parametrize("seed", range(50))
def test_whatever_happens_to_a_machine(seed: int) -> None:
    steps = history(seed, 60)
    try:
        World().live(steps)
    except BaseException:
        print("\n".join(map(str, steps)))
        raise
