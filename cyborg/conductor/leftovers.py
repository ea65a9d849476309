"""Releasing ARQs that Nova has left behind.

Nova leaves an ARQ bound, for example, when a server is deleted before it has a host. Such an
ARQ is known by three things, twice, a grace period apart: its instance has no allocation on
its provider; Nova does not know the instance, or has no task running on it; and the instance
does not live on the ARQ's host. If Placement or Nova cannot be asked, nothing is done.

While it is only suspected, its handle counts as reserved in Placement, so that no server is
sent to it in vain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa
from oslo_log import log

from cyborg.clients.nova import Nova
from cyborg.clients.placement import Placement
from cyborg.conductor import providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db import leftovers as rows
from cyborg.domain.errors import Conflict
from cyborg.domain.leftovers import HeldRequest, KnownServer, Need, has_allocation, need
from cyborg.domain.model import ProviderJobKind

LOG = log.getLogger(__name__)

#: Providers whose ARQs are read at a time.
PAGE = 100


def compare(env: Environment) -> int:
    """Look at every ARQ that holds a device; return how many were released.

    One call to Placement for each provider in use, one to Nova for each ARQ without allocation.

    :raises ServiceUnavailable: Placement, Nova or the database cannot be asked; what had been
        looked at before is done.
    """
    if env.placement is None or env.nova is None:
        return 0
    released, after = 0, ""
    while True:
        with env.database.reader() as connection:
            page = rows.providers_in_use(connection, after, PAGE)
            grace = env.conf.conductor.leftover_grace_period
            held = rows.held_requests(connection, page, grace) if page else []
        if not page:
            return released
        by_provider: dict[str, list[HeldRequest]] = defaultdict(list)
        for request in held:
            by_provider[request.provider_uuid].append(request)
        for uuid, requests in by_provider.items():
            released += _look(env, env.placement, env.nova, uuid, requests)
        after = page[-1]


def _look(
    env: Environment,
    placement: Placement,
    nova: Nova,
    provider_uuid: str,
    requests: Iterable[HeldRequest],
) -> int:
    consumers = placement.consumers(provider_uuid)
    if consumers is None:
        # Placement has lost the provider, and with it what it knew of its allocations.
        return 0
    released = 0
    for request in requests:
        if has_allocation(request, consumers):
            needed = Need.NEEDED
        else:
            needed = need(request, _server(nova, request.instance_uuid))
        released += _act(env, request, needed)
    return released


def _server(nova: Nova, uuid: str) -> KnownServer | None:
    server = nova.server(uuid)
    if server is None:
        return None
    return KnownServer(server.task_state is not None, server.vm_state, server.hostname)


def _act(env: Environment, request: HeldRequest, needed: Need) -> bool:
    if needed is Need.NEEDED:
        if request.suspected:
            _suspect(env, request, suspected=False)
        return False
    if not request.suspected:
        _suspect(env, request, suspected=True)
        return False
    if not (request.ripe and request.bound_by_service and needed is Need.LEFT_OVER):
        return False
    try:
        releasing.delete(env, [request.uuid], {request.uuid: request.generation})
    except Conflict as error:
        LOG.info("left over no more arq=%s: %s", request.uuid, error)
        return False
    LOG.warning(
        "left-over arq released arq=%s instance=%s host=%s provider=%s",
        request.uuid,
        request.instance_uuid,
        request.hostname,
        request.provider_uuid,
    )
    return True


def _suspect(env: Environment, request: HeldRequest, *, suspected: bool) -> None:
    def work(connection: sa.Connection) -> bool:
        changed = rows.set_suspicion(
            connection, request.uuid, request.generation, suspected=suspected
        )
        if changed:
            marked = {request.provider_uuid: request.hostname}
            providers.mark(env, connection, marked, ProviderJobKind.INVENTORY)
        return changed

    if env.database.run(work):
        LOG.warning(
            "arq %s arq=%s instance=%s host=%s provider=%s bound_by_service=%s",
            "without allocation" if suspected else "needed after all",
            request.uuid,
            request.instance_uuid,
            request.hostname,
            request.provider_uuid,
            request.bound_by_service,
        )
