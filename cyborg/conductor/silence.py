"""Hosts whose agents are not heard any more: nothing of them is offered until they are.

Their devices may be as good as ever, and servers that have them run on. But nobody could prepare
or clean a device there, and nobody would notice that one has gone.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from oslo_log import log

from cyborg.conductor import providers
from cyborg.conductor.agents import TakenHost
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import hosts, jobs
from cyborg.db.providers import hosts_of_providers
from cyborg.domain.agents import HeardAgent
from cyborg.domain.model import JobKind, ProviderJobKind, Withheld

LOG = log.getLogger(__name__)


def look(env: Environment) -> int:
    """Withhold the hosts that have been silent for too long; return how many."""
    with env.database.reader() as connection:
        seen = hosts.seen_hosts(connection)
    return sum(
        run(env, partial(_withhold, host.name)) for host in seen if _is_silent(env, host.heard)
    )


def end(unit: Unit, host: str, taken: TakenHost) -> Collection[str]:
    """Offer a host again that reports, unless something is still to be prepared there.

    Return its providers, if Placement must hear of them.
    """
    if taken.withheld is None:
        return ()
    left = jobs.has_jobs(unit.connection, host, JobKind.RESTORE)
    why = Withheld.RESTORING if left else None
    if why is taken.withheld:
        return ()
    hosts.withhold(unit.connection, taken.id, why)
    LOG.info("host heard host=%s withheld=%s before=%s", host, why, taken.withheld)
    return hosts_of_providers(unit.connection, host_id=taken.id)


def _is_silent(env: Environment, heard: HeardAgent) -> bool:
    interval = heard.interval or float(env.conf.periodic_interval)
    return bool(heard.silence > env.conf.conductor.silent_host_intervals * interval)


def _withhold(name: str, unit: Unit) -> bool:
    """Withhold a host unless it has been heard meanwhile; return whether it is now."""
    found = hosts.lock_host(unit.connection, name)
    if found is None or found.withheld is Withheld.SILENT:
        return False
    if not _is_silent(unit.env, found.heard):
        return False
    hosts.withhold(unit.connection, found.id, Withheld.SILENT)
    marked = hosts_of_providers(unit.connection, host_id=found.id)
    providers.mark(unit, marked, ProviderJobKind.INVENTORY)
    LOG.error(
        "host silent, nothing of it is offered host=%s seconds=%.0f: look after its agent",
        name,
        found.heard.silence,
    )
    return True
