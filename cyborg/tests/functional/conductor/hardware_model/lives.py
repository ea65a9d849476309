"""What users, operators, agents and conductors do."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cyborg.conductor import binding, catalogue, creating, finishing, releasing
from cyborg.db.database import Database
from cyborg.db.tables import jobs
from cyborg.domain.errors import CyborgError
from cyborg.domain.model import DeviceStatus
from cyborg.tests.functional.conductor.dying import MOMENTS
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.base import Base, Life
from cyborg.tests.functional.conductor.hardware_model.drivers import Attempt, Outcome
from cyborg.tests.functional.conductor.hardware_model.records import Offer

#: Requests at a time.
MOST = 10


OUTCOMES = st.sampled_from([Outcome.WORKS] * 6 + list(Outcome))


class Lives(Base):
    """Requests from their making to their end."""

    @precondition(lambda self: len(self.lives) < MOST)
    @rule(data=st.data())
    def bind(self, data: st.DataObject) -> None:
        """Nova binds a request where Placement offers something."""
        offers = {offer.name: offer for offer in self.offers()}
        if offers:
            self.boot(offers[data.draw(st.sampled_from(sorted(offers)), "provider")])

    @precondition(lambda self: len(self.lives) < MOST)
    @rule(data=st.data())
    def bind_in_vain(self, data: st.DataObject) -> None:
        """Somebody binds a request where nothing may be free."""
        known = {row.name: row for row in records.providers(self.record)}
        if known:
            row = known[data.draw(st.sampled_from(sorted(known)), "provider")]
            offer = Offer(row.rp_uuid, row.name, row.host, row.resource_class, 0)
            try:
                self.boot(offer)
            except CyborgError as error:
                assert error.http_status == 409, error

    def boot(self, offer: Offer) -> None:
        """Bind a request there, and let its server have what it is given."""
        idle = [
            uuid
            for uuid in self.visible()
            if self.lives[uuid].resource_class == offer.resource_class
        ]
        bindable = records.bindable(self.record, idle)
        if bindable:
            uuid = bindable[0]
        else:
            [arq] = creating.create(self.env, offer.resource_class, "project", True)
            uuid = arq.uuid
            self.lives[uuid] = Life(offer.resource_class)
        server = f"{next(self.server_numbers):08x}-0000-4000-8000-00005e57e700"
        values = {
            "hostname": offer.host,
            "device_rp_uuid": offer.uuid,
            "instance_uuid": server,
        }
        self.surely(lambda: binding.bind(self.env, {uuid: values}, "project", True))
        self.lives[uuid].server, self.lives[uuid].provider = server, offer.uuid
        given = records.holding(self.record, uuid)
        self.world.may_be_given(given, server)
        self.drivers.start(given, server)
        self.after_a_request()

    @precondition(lambda self: self.visible())
    @rule(data=st.data())
    def unbind(self, data: st.DataObject) -> None:
        """A service unbinds a request."""
        uuid = data.draw(st.sampled_from(self.visible()), "request")
        self._stop_server(uuid)
        self.surely(lambda: releasing.unbind(self.env, [uuid]))
        self.lives[uuid].provider = None
        self._forget_servers()
        self.after_a_request()

    @precondition(lambda self: self.visible())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Nova deletes a request."""
        uuid = data.draw(st.sampled_from(self.visible()), "request")
        self.give_up(uuid)

    def give_up(self, uuid: str) -> None:
        """Delete a request."""
        self._stop_server(uuid)
        self.surely(lambda: releasing.delete(self.env, [uuid]))
        self.lives[uuid].provider = None
        self.lives[uuid].is_deleted = True
        self._forget_servers()
        self.after_a_request()

    def after_a_request(self) -> None:
        """Be where agents may begin what they have just been sent. They wait for their rules."""
        return

    def visible(self) -> list[str]:
        """Return the requests that Nova sees."""
        return [uuid for uuid, life in self.lives.items() if not life.is_deleted]

    def _stop_server(self, uuid: str) -> None:
        server = self.lives[uuid].server
        if server is not None:
            self.drivers.stop(server)

    @precondition(lambda self: self.lives)
    @rule()
    def servers_restart(self) -> None:
        """All servers are started anew: each gets what is at the address that it was given."""
        for given in records.bound(self.record):
            server = self.lives[given.request].server
            assert server is not None
            self.drivers.start(given, server)

    # Operators.

    @rule(data=st.data(), status=st.sampled_from(DeviceStatus))
    def operate(self, data: st.DataObject, status: DeviceStatus) -> None:
        """An operator enables or disables a device."""
        found = {f"{row.host} {row.identity}": row for row in records.devices_of(self.record)}
        if found:
            row = found[data.draw(st.sampled_from(sorted(found)), "device")]
            self.set_status(row, status)

    def set_status(self, device: sa.Row[Any], status: DeviceStatus) -> None:
        """Enable or disable a device."""
        catalogue.set_device_status(self.env, device.uuid, status)
        called = (device.host, device.identity.lower())
        if status is DeviceStatus.MAINTAINING:
            self.world.disabled.add(called)
        else:
            self.world.disabled.discard(called)

    # Agents.

    @rule(data=st.data(), outcome=OUTCOMES)
    def work(self, data: st.DataObject, outcome: Outcome) -> None:
        """An agent does what it was given."""
        found = {f"{row.kind} {row.subject}": row for row in records.jobs_under_way(self.record)}
        if found:
            row = found[data.draw(st.sampled_from(sorted(found)), "job")]
            self.do(row.uuid, row.generation, row.request, outcome)

    def do(self, uuid: str, generation: int, request: str | None, outcome: Outcome) -> None:
        """Let an agent make an attempt."""
        sent = [
            (host, work)
            for host, work in self.agents.sent
            if (work.job_uuid, work.generation) == (uuid, generation)
        ]
        if not sent:
            # It is sent again when its lease has run out.
            return
        host, work = sent[-1]
        server = self.lives[request].server if request in self.lives else None
        self.drivers.work(Attempt(host, work, request, server, outcome))

    @precondition(lambda self: self.late)
    @rule(data=st.data(), again=st.booleans())
    def answer(self, data: st.DataObject, again: bool) -> None:
        """An answer that was under way arrives, and may once more."""
        number = data.draw(st.integers(0, len(self.late) - 1), "answer")
        self.take(self.late[number])
        if not again:
            del self.late[number]

    @rule(count=st.integers(1, 3))
    def lose(self, count: int) -> None:
        """The next messages to agents are lost."""
        self.agents.lost = count

    @rule(moment=st.integers(0, MOMENTS - 1))
    def die(self, moment: int) -> None:
        """Whichever conductor does something next dies over it."""
        self.doom = moment

    @rule()
    def work_well(self) -> None:
        """Agents do all that they were given."""
        for row in records.jobs_under_way(self.record):
            self.do(row.uuid, row.generation, row.request, Outcome.WORKS)

    # Conductors.

    @rule(what=st.sampled_from(["leases", "deadlines", "restart"]))
    def conduct(self, what: str) -> None:
        """Leases run out, or deadlines too, or another conductor goes on with what there is."""
        if what == "restart":
            database = Database(self.record.database._conf)
            self.record.database.dispose()
            self.record = dataclasses.replace(self.record, database=database)
        past = self.env.clock().replace(year=2000)
        with self.env.database.engine.begin() as connection:
            connection.execute(jobs.update().values(leased_until=past))
            if what == "deadlines":
                late = jobs.update().where(jobs.c.deadline.is_not(None))
                connection.execute(late.values(deadline=past))
        self.surely(lambda: finishing.sweep(self.env))
