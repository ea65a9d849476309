"""A host as its agent reports it, and what people do with its devices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.conductor import creating, finishing, inventory, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.attributes import list_attributes
from cyborg.db.devices import list_deployables
from cyborg.db.tables import attach_handles, deployables, devices, hosts, jobs
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import Conflict
from cyborg.domain.inventory import DeviceReport, Snapshot, UnseenDevice, digest_of
from cyborg.domain.model import AcceleratorRequest, Deployable, JobKind
from cyborg.domain.states import ArqState
from cyborg.tests.functional.conductor.harness import PROJECT, arq, bind, let_run_out, rows
from cyborg.tests.helpers import HOST, an_interval_later, profile
from cyborg.tests.servers import Placement

#: What an agent does to hardware that somebody has had.
CLEANING = (JobKind.RELEASE, JobKind.CLEAN)


@dataclass
class Machine:
    """A compute host, its agent, and the servers on it."""

    env: Environment
    #: None where it does not matter what Placement thinks.
    placement: Placement | None = None

    # What its agent says

    def report(
        self,
        *seen: DeviceReport,
        failed: Sequence[str] = (),
        unseen: Sequence[tuple[str, str]] = (),
        host: str = HOST,
    ) -> None:
        """Report all that a scan finds, an interval after the scan before."""
        self.send(wire_of(*seen, failed=failed, unseen=unseen), host=host)

    def send(self, wire: Mapping[str, Any], host: str = HOST) -> None:
        """Report what crosses the wire, and let Placement hear of it."""
        an_interval_later(self.env)
        inventory.report(self.env, host, wire)
        self.publish()

    def publish(self) -> None:
        """Do all that is to be done in Placement."""
        while providers.sweep(self.env):
            pass

    def is_settled(self, *seen: DeviceReport, host: str = HOST) -> bool:
        """Return whether a heartbeat is enough when nothing changes."""
        return inventory.heartbeat(self.env, host, digest_of(wire_of(*seen)))

    def answer(self, error: str | None = None, *, away: bool = False) -> int:
        """Answer each job that is about hardware which somebody has had; return how many."""
        found = [job for job in rows(self.env, jobs) if job.kind in CLEANING]
        for job in found:
            finishing.finish(self.env, job.host, job.uuid, job.generation, error, away=away)
        self.publish()
        return len(found)

    def fail_to_clean(self, error: str = "the card cannot be reset") -> None:
        """Let every attempt fail, until what was to be cleaned is quarantined."""
        while self.answer(error):
            let_run_out(self.env, jobs)
            finishing.sweep(self.env)

    # What Nova does

    def ask(self, resource_class: str) -> str:
        """Make an ARQ for one of a class; return its uuid."""
        name = f"one-{resource_class}-{new_uuid()}"
        profile(self.env, name, {f"resources:{resource_class}": "1"})
        [made] = creating.create(self.env, name, PROJECT)
        return made.uuid

    def bind(self, name: str, resource_class: str) -> AcceleratorRequest:
        """Boot a server that is scheduled to a deployable; return its ARQ.

        :raises Conflict: it cannot be bound.
        """
        uuid, instance, rp = self.ask(resource_class), new_uuid(), provider_uuid(name)
        if self.placement is not None:
            self.placement.allocate(instance, {rp: {resource_class: 1}})
        bind(self.env, uuid, instance=instance, rp=rp)
        found = arq(self.env, uuid)
        assert found.state is ArqState.BOUND
        return found

    def refusal(self, name: str, resource_class: str) -> str:
        """Return why a server that is scheduled to a deployable gets nothing: 409, and this."""
        uuid, rp = self.ask(resource_class), provider_uuid(name)
        try:
            bind(self.env, uuid, instance=new_uuid(), rp=rp)
        except Conflict as error:
            assert arq(self.env, uuid).state is ArqState.INITIAL
            return error.detail
        bound = arq(self.env, uuid).attach_handle
        raise AssertionError(f"bound to {bound.info if bound else None}")

    def delete(self, bound: AcceleratorRequest) -> None:
        """Delete a server: its ARQ first, then what Placement has of it."""
        releasing.delete(self.env, [bound.uuid])
        if self.placement is not None and bound.instance_uuid:
            self.placement.deallocate(bound.instance_uuid)
        self.publish()

    def arq(self, bound: AcceleratorRequest) -> AcceleratorRequest:
        """Return an ARQ as it is now."""
        return arq(self.env, bound.uuid)

    # What is recorded

    def device(self, identity: str) -> sa.Row[Any]:
        """Return the row of the only device of this identity."""
        [row] = [row for row in rows(self.env, devices) if row.identity == identity]
        return row

    def identities(self, host: str = HOST) -> set[str]:
        """Return the identities of all devices of a host."""
        names = {row.id: row.name for row in rows(self.env, hosts)}
        return {row.identity for row in rows(self.env, devices) if names[row.host_id] == host}

    def deployable(self, name: str) -> Deployable:
        """Return a deployable."""
        with self.env.database.reader() as connection:
            [found] = list_deployables(connection, name=name, with_usage=True)
        return found

    def names(self) -> set[str]:
        """Return the names of all deployables."""
        return {row.name for row in rows(self.env, deployables)}

    def attributes(self, name: str) -> dict[str, str]:
        """Return all that a deployable is said to be."""
        wanted = self.deployable(name).uuid
        with self.env.database.reader() as connection:
            found = list_attributes(connection)
        return {each.key: each.value for each in found if each.deployable_uuid == wanted}

    def hardware(self, name: str | None = None) -> dict[str, str]:
        """Return the condition of each piece of hardware, of one deployable or of all."""
        names = {row.id: row.name for row in rows(self.env, deployables)}
        return {
            row.hardware: row.condition
            for row in rows(self.env, attach_handles)
            if name in (None, names[row.deployable_id])
        }

    def infos(self, name: str) -> list[dict[str, str]]:
        """Return what Nova is given of a deployable's handles."""
        names = {row.id: row.name for row in rows(self.env, deployables)}
        return [
            json.loads(row.attach_info)
            for row in rows(self.env, attach_handles)
            if names[row.deployable_id] == name
        ]

    # What Placement would give away

    def offered(self, name: str, resource_class: str) -> int:
        """Return how many servers could still be scheduled to a deployable."""
        assert self.placement is not None
        uuid = provider_uuid(name)
        if self.placement.provider(uuid) is None:
            return 0
        inventory_of = self.placement.inventories(uuid).get(resource_class)
        if inventory_of is None:
            return 0
        used = self.placement.usages(uuid).get(resource_class, 0)
        return max(0, int(inventory_of["total"] - inventory_of["reserved"] - used))

    def candidates(self, resource_class: str) -> int:
        """Return how many allocation candidates there are for one of a class."""
        assert self.placement is not None
        path = f"/allocation_candidates?resources={resource_class}:1"
        answer = self.placement.ask("GET", path)
        if answer.status_code == 400:
            # It has never heard of the class.
            return 0
        assert answer.ok, answer.text
        return len(answer.json()["allocation_requests"])


def wire_of(
    *seen: DeviceReport, failed: Sequence[str] = (), unseen: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return a report as it crosses the wire, with the devices in this order."""
    snapshot = Snapshot((), tuple(failed), tuple(UnseenDevice(*each) for each in unseen))
    devices_in_order = [Snapshot((each,)).to_wire()["devices"][0] for each in seen]
    return {**snapshot.to_wire(), "devices": devices_in_order}


def address_of(bound: AcceleratorRequest) -> str:
    """Return the PCI address that the hypervisor gives to a server."""
    assert bound.attach_handle is not None
    info = bound.attach_handle.info
    return f"{info['domain']}:{info['bus']}:{info['device']}.{info['function']}"
