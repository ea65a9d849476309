"""What must hold after each step, and once everything has come to rest."""

from __future__ import annotations

import sys
from collections.abc import Collection

from hypothesis.stateful import invariant

from cyborg.conductor.environment import Environment
from cyborg.db.database import Connection
from cyborg.domain.model import DeviceStatus, Presence
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.base import SLOTS
from cyborg.tests.functional.conductor.hardware_model.cards import PIECES, Host
from cyborg.tests.functional.conductor.hardware_model.drivers import Drivers
from cyborg.tests.functional.conductor.hardware_model.events import Events
from cyborg.tests.functional.conductor.hardware_model.invented import InventedDrivers
from cyborg.tests.functional.conductor.hardware_model.lives import Lives
from cyborg.tests.functional.conductor.hardware_model.records import Offer
from cyborg.tests.functional.conductor.hardware_model.sights import Scan, Sight
from cyborg.tests.functional.conductor.hardware_model.world import check_holdings
from cyborg.tests.functional.conductor.harness import check_audit
from cyborg.tests.functional.conductor.trials import NOBODY

#: Good reports after which a record equals its host.
_REPORTS = 3


class HardwareMachine(Events, Lives):
    """Cards that move, break and keep traces, and everybody who has to do with them."""

    #: Of all machines.
    steps = 0

    def __init__(self, env: Environment, drivers: Drivers | None = None) -> None:
        super().__init__(env, drivers or InventedDrivers())
        #: By provider, how everything was when its offer was tried last.
        self._tried: dict[str, object] = {}

    @invariant()
    def all_is_well(self) -> None:
        """No two have one piece of hardware, and what is offered can be bound, works, is there,
        is clean and nobody else's."""
        HardwareMachine.steps += 1
        if not self.is_changed:
            return
        self.is_changed = False
        check_audit(self.record)
        handles = records.handles(self.record)
        check_holdings(records.holdings_of(handles))
        places = records.places(handles)
        for offer in self.offers():
            there = places[offer.uuid]
            picture = (offer, there, *(self.world.picture(*each.place) for each in there))
            if self._tried.get(offer.uuid) != picture:
                self._try(offer)
                self._tried[offer.uuid] = picture

    def _try(self, offer: Offer) -> None:
        def look(connection: Connection, uuids: Collection[str]) -> None:
            found = records.holdings(connection)
            check_holdings(found)
            for each in found:
                if each.request in uuids:
                    self.world.may_be_given(each, NOBODY)

        self.trials.try_to_bind(self.record, offer, look)

    def teardown(self) -> None:
        """Give everything back: then what is offered is what is there."""
        try:
            if sys.exc_info()[0] is None and self.world.hosts:
                self.come_to_rest()
        finally:
            self.drivers.end()

    def come_to_rest(self) -> None:
        """Let everything end well, and see that the record equals the hardware."""
        self.doom, self.agents.lost = None, 0
        self.drivers.come_to_rest()
        for uuid in self.visible():
            self.give_up(uuid)
        for row in records.devices_of(self.record):
            self.set_status(row, DeviceStatus.ENABLED)
        self._work_until_done()
        scan = Scan([Sight.WELL] * SLOTS)
        for _ in range(_REPORTS):
            self.time_passes()
            for name in self.world.hosts:
                self.tell(name, scan)
                self._work_until_done()
        self.lives.clear()
        for name, host in self.world.hosts.items():
            if not any(row.host == name for row in records.quarantined(self.record)):
                self._compare(host)
                if not any(card and card.condition == "failed" for card in host.cards):
                    assert self.drivers.is_settled(host, scan), f"{name} is not settled"

    def _work_until_done(self) -> None:
        while records.jobs_under_way(self.record):
            self.conduct("leases")
            self.work_well()

    def _compare(self, host: Host) -> None:
        there = {}
        good = {}
        for address, card in zip(host.addresses(), host.cards, strict=True):
            if card is None:
                continue
            for group in card.cut:
                name = f"{host.name}_{address}.0" + ("" if len(card.cut) == 1 else f"_{group}")
                there[name] = PIECES[group]
                if card.condition != "failed":
                    good[name] = PIECES[group]
        offered = {
            each.name.lower(): each.units for each in self.offers() if each.host == host.name
        }
        assert offered == good, f"{offered} is offered, {good} is there"
        recorded = {
            row.name.lower(): row.num_accelerators
            for row in records.providers(self.record)
            # A card that was pulled before it was clean is remembered, and not offered.
            if row.host == host.name and row.presence == Presence.PRESENT
        }
        assert recorded == there, f"{recorded} is recorded, {there} is there"
