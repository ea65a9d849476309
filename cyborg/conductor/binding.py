"""Binding ARQs to an instance: handles are taken, all or none.

Nothing to prepare: the ARQs are Bound, and the event for Nova is written, in one
transaction. Something to prepare: they are BindStarted and a job is written; the agent's
answer ends it (:mod:`cyborg.conductor.jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor import jobs
from cyborg.conductor.checks import Generations, require_found, require_unchanged
from cyborg.conductor.environment import Environment
from cyborg.db import attach_handles
from cyborg.db.accelerator_requests import (
    LockedRequest,
    change_state,
    lock_requests,
    remember_owner,
)
from cyborg.db.attach_handles import Provider
from cyborg.db.outbox import insert_events
from cyborg.db.statements import case_by
from cyborg.db.tables import accelerator_requests
from cyborg.domain.errors import (
    AcceleratorRequestStateConflict,
    DeviceNotAvailable,
    InvalidInput,
    NoFreeHandle,
    ProviderNotFound,
    WrongHost,
)
from cyborg.domain.model import DeviceStatus, EventState, EventStatus, Job, JobKind, Presence
from cyborg.domain.profiles import needs_programming
from cyborg.domain.states import BINDABLE, ArqState

LOG = log.getLogger(__name__)

_HELD = frozenset({ArqState.BOUND, ArqState.BIND_STARTED})


@dataclass(frozen=True, slots=True)
class Binding:
    """What one ARQ is to be bound to."""

    hostname: str
    device_rp_uuid: str
    instance_uuid: str


@dataclass(frozen=True, slots=True)
class Bind:
    """One request: ARQs (by uuid) of one instance on one host."""

    bindings: Mapping[str, Binding]
    instance_uuid: str
    hostname: str
    owner_project_id: str | None
    by_service: bool
    generations: Generations


class _NotEnough(Exception):
    """Too few handles are free that nobody else is just looking at."""


def bind(
    env: Environment,
    bindings: Mapping[str, Mapping[str, str]],
    owner_project_id: str | None,
    by_service: bool,
    generations: Generations = None,
) -> None:
    """Bind ARQs, all or none; the same again is a success without a second effect.

    :raises InvalidInput: nothing to bind, or more than one instance or host.
    :raises AcceleratorRequestNotFound: an ARQ is not there.
    :raises AcceleratorRequestStateConflict: an ARQ is held otherwise.
    :raises ProviderNotFound: a provider is no deployable's.
    :raises WrongHost: the deployable is on another host.
    :raises DeviceNotAvailable: the device is disabled, missing, or not programmable.
    :raises NoFreeHandle: too few handles are free.
    """
    parsed = {uuid: Binding(**binding) for uuid, binding in bindings.items()}
    instances = {binding.instance_uuid for binding in parsed.values()}
    hostnames = {binding.hostname for binding in parsed.values()}
    if len(instances) != 1 or len(hostnames) != 1:
        raise InvalidInput("A bind names exactly one instance and one host.")
    request = Bind(
        parsed, instances.pop(), hostnames.pop(), owner_project_id, by_service, generations
    )
    try:
        started = env.database.run(partial(_bind, env, request, False))
    except _NotEnough:
        started = env.database.run(partial(_bind, env, request, True))
    jobs.dispatch(env, started)


def _bind(env: Environment, request: Bind, wait: bool, connection: sa.Connection) -> list[Job]:
    locked = lock_requests(connection, uuids=list(request.bindings), owner_of=request.instance_uuid)
    require_found(locked, request.bindings)
    require_unchanged(locked, request.generations)
    arqs = [arq for arq in locked if not _already_bound(arq, request.bindings[arq.uuid])]
    if not arqs:
        return []
    for arq in arqs:
        _check_bindable(arq)
    providers = _providers(connection, request, arqs)
    handles = attach_handles.take(
        connection,
        {arq.id: providers[arq.uuid].deployable_id for arq in arqs},
        env.clock(),
        dirtying={
            provider.deployable_id
            for provider in providers.values()
            if provider.needs_prepare or provider.needs_release
        },
        wait=wait,
    )
    if handles is None:
        if not wait:
            raise _NotEnough
        raise NoFreeHandle("Too few attach handles are free; nothing was bound.")
    return _write(env, request, arqs, providers, connection)


def _already_bound(arq: LockedRequest, binding: Binding) -> bool:
    return (
        arq.state in _HELD
        and arq.job_kind is not JobKind.RELEASE
        and arq.hostname == binding.hostname
        and arq.device_rp_uuid == binding.device_rp_uuid
        and arq.instance_uuid == binding.instance_uuid
    )


def _check_bindable(arq: LockedRequest) -> None:
    if arq.state not in BINDABLE:
        held = f", for instance {arq.instance_uuid}" if arq.instance_uuid else ""
        raise AcceleratorRequestStateConflict(
            f"Accelerator request {arq.uuid} is {arq.state}{held}; it cannot be bound."
        )


def _providers(
    connection: sa.Connection, request: Bind, arqs: list[LockedRequest]
) -> dict[str, Provider]:
    """Return each ARQ's provider, by the ARQ's uuid, after every check."""
    wanted = {arq.uuid: request.bindings[arq.uuid].device_rp_uuid for arq in arqs}
    found = attach_handles.lock_providers(connection, set(wanted.values()))
    for arq in arqs:
        provider = found.get(wanted[arq.uuid])
        if provider is None:
            raise ProviderNotFound(f"No deployable has the resource provider {wanted[arq.uuid]}.")
        _check_provider(provider, request.hostname, arq)
    return {uuid: found[rp_uuid] for uuid, rp_uuid in wanted.items()}


def _check_provider(provider: Provider, hostname: str, arq: LockedRequest) -> None:
    if provider.host != hostname:
        raise WrongHost(
            f"Deployable {provider.deployable_name} is on host {provider.host}, not on {hostname}."
        )
    if provider.status is not DeviceStatus.ENABLED:
        raise DeviceNotAvailable(f"The device of {provider.deployable_name} is disabled.")
    if provider.presence is Presence.MISSING:
        raise DeviceNotAvailable(f"The device of {provider.deployable_name} is missing.")
    if needs_programming(arq.group):
        raise DeviceNotAvailable(
            f"Deployable {provider.deployable_name} cannot be programmed, which the "
            "device profile's group asks for."
        )


def _write(
    env: Environment,
    request: Bind,
    arqs: list[LockedRequest],
    providers: Mapping[str, Provider],
    connection: sa.Connection,
) -> list[Job]:
    now = env.clock()
    known_owner = arqs[0].instance_owner
    owner = known_owner or request.owner_project_id or arqs[0].project_id
    rp_uuids = {arq.id: providers[arq.uuid].rp_uuid for arq in arqs}
    values = {
        "hostname": request.hostname,
        "instance_uuid": request.instance_uuid,
        "device_rp_uuid": case_by(accelerator_requests.c.id, rp_uuids),
        "project_id": owner,
        "bound_by_service": request.by_service,
        "state_reason": None,
    }
    later = [arq for arq in arqs if providers[arq.uuid].needs_prepare]
    at_once = [arq for arq in arqs if not providers[arq.uuid].needs_prepare]
    if at_once:
        generations = {arq.id: arq.generation for arq in at_once}
        change_state(connection, generations, ArqState.BOUND, now, bound_at=now, **values)
        insert_events(
            connection,
            {arq.id: arq.uuid for arq in at_once},
            instance_uuid=request.instance_uuid,
            status=EventStatus.COMPLETED,
            state=EventState.NOT_SENT,
            now=now,
        )
    if known_owner is None and owner is not None:
        remember_owner(connection, request.instance_uuid, owner, now)
    for arq in arqs:
        LOG.info(
            "bind arq=%s instance=%s host=%s provider=%s prepare=%s",
            arq.uuid,
            request.instance_uuid,
            request.hostname,
            rp_uuids[arq.id],
            providers[arq.uuid].needs_prepare,
        )
    if not later:
        return []
    generations = {arq.id: arq.generation for arq in later}
    change_state(connection, generations, ArqState.BIND_STARTED, now, **values)
    return jobs.write_prepare(env, connection, later)
