"""Comparing the providers in Placement with what they should be, now and then.

One call a host, as long as nothing has changed there: a provider that is at the generation at
which it was found right is not looked at. Allocations move generations too, so what is in use
is looked at more closely.
"""

from __future__ import annotations

from oslo_log import log

from cyborg.clients.placement import Placement, Provider
from cyborg.conductor import providers
from cyborg.conductor.doubts import Doubts
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import run
from cyborg.db import providers as rows
from cyborg.domain.model import ProviderJobKind
from cyborg.domain.providers import OWNER_TRAIT

LOG = log.getLogger(__name__)

#: So many hosts one after the other about which no proper answer came: it is not the hosts.
IN_A_ROW = 10


def compare(env: Environment) -> int:
    """Mark every provider that may not be as it should; return how many.

    :raises ServiceUnavailable: Placement or the database cannot be asked.
    """
    if env.placement is None:
        return 0
    with env.database.reader() as connection:
        hosts = rows.host_names(connection)
    marked, doubts = 0, Doubts(IN_A_ROW)
    for host in hosts:
        with doubts.about(f"host={host}"):
            marked += _compare_host(env, env.placement, host)
    doubts.end()
    return marked


def _compare_host(env: Environment, placement: Placement, host: str) -> int:
    with env.database.reader() as connection:
        root, _ = rows.provider_generations(connection, host)
    found = {provider.uuid: provider for provider in _ours_below(env, placement, host, root)}
    # After Placement was read: what an agent has reported meanwhile is no orphan.
    with env.database.reader() as connection:
        _, recorded = rows.provider_generations(connection, host)
    doubtful = {
        uuid
        for uuid, generation in recorded.items()
        if uuid not in found or found[uuid].generation != generation
    }
    orphans = set(found) - set(recorded)
    if orphans:
        LOG.info("providers without a device host=%s providers=%s", host, ",".join(orphans))
    marked = dict.fromkeys(doubtful | orphans, host)
    if marked:
        run(env, lambda unit: providers.mark(unit, marked, ProviderJobKind.PROVIDER))
    return len(marked)


def _ours_below(
    env: Environment, placement: Placement, host: str, root: str | None
) -> list[Provider]:
    """Return the providers in a host's tree that bear our trait."""
    found = [] if root is None else placement.tree(root, OWNER_TRAIT)
    if found:
        return found
    # None of ours, or a compute node's provider that was replaced by another.
    named = placement.provider_named(host)
    if named is None or named.uuid == root:
        return []
    run(env, lambda unit: rows.record_root(unit.connection, host, named.uuid))
    return placement.tree(named.uuid, OWNER_TRAIT)
