"""Forgetting what is too old: ARQs that were never bound, owners of instances long gone."""

from __future__ import annotations

from oslo_log import log

from cyborg.conductor import releasing
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import run
from cyborg.db import leftovers as rows
from cyborg.domain.errors import Conflict

LOG = log.getLogger(__name__)

#: How many ARQs are deleted at a time.
BATCH = 100


def expire(env: Environment) -> int:
    """Delete ARQs that were never bound in time, and old owners; return how many ARQs.

    By the database's clock: what a host's says costs nobody a request that is being bound.
    """
    conductor = env.conf.conductor
    retention = conductor.instance_owner_retention
    run(env, lambda unit: rows.forget_owners(unit.connection, retention))
    expired = 0
    while True:
        with env.database.reader() as connection:
            old = rows.never_bound(connection, conductor.request_expiry, BATCH)
        if not old:
            return expired
        try:
            releasing.delete(env, list(old), old)
        except Conflict as error:
            # One was bound meanwhile; the others are found again.
            LOG.info("expired arqs not deleted yet: %s", error)
            return expired
        expired += len(old)
        LOG.warning("arqs expired, never bound arqs=%s", ",".join(old))
