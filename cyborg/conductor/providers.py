"""Making providers in Placement what they should be.

Placement is a projection of the database. A change that it must hear of marks the provider
in its own transaction (:func:`mark`); the work is done by any conductor, again and again until
it has succeeded (:func:`sweep`), or at once where the caller of the API must not be answered
before (:class:`Publish`). How one provider is made so is :mod:`cyborg.conductor.provider_sync`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from oslo_log import log

from cyborg.clients.placement import Placement, UnknownName
from cyborg.conductor.environment import Environment
from cyborg.conductor.provider_sync import LookAgain, NotYet, ProviderSync, Refused
from cyborg.conductor.unit import Order, Unit, run
from cyborg.db import provider_jobs
from cyborg.db.sharing import providers_sharing
from cyborg.domain.backoff import backoff
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import ProviderJob, ProviderJobKind
from cyborg.domain.work import Job
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: How many jobs one look takes at most.
BATCH = 20

#: Seconds that an answer of the API waits for Placement, for each call to it; and so many calls,
#: which are those of one provider, however many it concerns.
INLINE_TIMEOUT = 5.0
INLINE_CALLS = 2
INLINE_LEASE = 30

#: Most seconds between two attempts: Placement or the compute node's provider may be there
#: soon; what only an operator or the end of an allocation can mend may take longer.
SOON, LATER = 15.0, 60.0


@dataclass(frozen=True, slots=True)
class Publish:
    """Bring the inventories of providers up to date, before the caller is answered.

    If Placement cannot be asked now it is done later: the bind of whoever is sent to such a
    provider meanwhile is refused.
    """

    providers: frozenset[str]
    order: ClassVar[Order] = Order.PLACEMENT

    def do(self, env: Environment) -> None:
        """Do it, waiting for Placement no longer than an answer of the API may."""
        if env.placement is None:
            return
        inventory = ProviderJobKind.INVENTORY
        with env.database.reader() as connection:
            jobs = provider_jobs.of_providers(connection, self.providers, inventory)
        end = time.monotonic() + INLINE_CALLS * INLINE_TIMEOUT
        _work(env, env.placement, jobs, end)


def mark(
    unit: Unit,
    providers: Mapping[str, str],
    kind: ProviderJobKind,
    *,
    at_once: bool = False,
    others: Mapping[str, str] | None = None,
) -> None:
    """Note that Placement must hear of providers (uuid to host). One statement.

    A transaction marks all that it marks of one kind in one call: who marks them one after the
    other deadlocks with who marks them the other way round.

    :param at_once: of inventories; see to it right after the commit.
    :param others: more of them, which nobody waits for.
    """
    env = unit.env
    marked = {**(others or {}), **providers}
    if env.placement is None or not marked:
        return
    now = frozenset(providers if at_once else ())
    provider_jobs.mark(
        unit.connection, marked, kind, env.new_uuid, unit.now, leased=now, lease=INLINE_LEASE
    )
    if now:
        unit.after(Publish(now))


def mark_end(unit: Unit, job: Job) -> None:
    """Note that the end of an agent's job changes what is reserved of its providers, and of
    those that offer other shapes of the same hardware."""
    if unit.env.placement is None or not job.subject.providers:
        return
    others = providers_sharing(unit.connection, job.subject.providers)
    concerned = {*job.subject.providers, *others}
    mark(unit, dict.fromkeys(concerned, job.host), ProviderJobKind.INVENTORY)


def sweep(env: Environment) -> int:
    """Do what is due; return how much was."""
    if env.placement is None:
        return 0
    lease = env.conf.conductor.job_lease
    jobs = run(env, lambda unit: provider_jobs.claim_due(unit.connection, lease=lease, limit=BATCH))
    _work(env, env.placement, jobs, None)
    return len(jobs)


def _work(
    env: Environment, placement: Placement, jobs: Sequence[ProviderJob], end: float | None
) -> None:
    """Do jobs, one after the other.

    :param end: when somebody waits for the answer no longer, by the monotonic clock.
    """
    roots: dict[str, str | None] = {}
    waiting: dict[str, list[ProviderJob]] = {}
    for position, job in enumerate(jobs):
        try:
            with working_for(job.request_id, job.global_request_id):
                _synchronise(env, placement, job, roots, _time_of_a_call(end))
        except ServiceUnavailable as error:
            # It is the same for all others.
            left = jobs[position:]
            LOG.warning("providers not synchronised jobs=%d: %s", len(left), error)
            _postpone(env, left, SOON, str(error))
            break
        except NotYet as error:
            waiting.setdefault(str(error), []).append(job)
        except (Refused, UnknownName) as error:
            LOG.error("provider not synchronised provider=%s: %s", job.provider_uuid, error)
            _postpone(env, [job], LATER, str(error))
        except LookAgain:
            _postpone(env, [job], SOON, "others change it at the same time")
    for reason, members in waiting.items():
        LOG.warning("providers wait host=%s jobs=%d: %s", members[0].host, len(members), reason)
        _postpone(env, members, SOON, reason)


def _time_of_a_call(end: float | None) -> float | None:
    """Return how long a call about the next provider may take, so that its calls end in time.

    :raises ServiceUnavailable: there is no time left.
    """
    if end is None:
        return None
    left = end - time.monotonic()
    if left <= 0:
        raise ServiceUnavailable("Placement is slow, and the answer does not wait any more.")
    return min(INLINE_TIMEOUT, left / INLINE_CALLS)


def _postpone(env: Environment, jobs: Sequence[ProviderJob], most: float, error: str) -> None:
    by_delay: dict[float, list[int]] = {}
    for job in jobs:
        by_delay.setdefault(backoff(job.failures + 1, most), []).append(job.id)

    def work(unit: Unit) -> None:
        for delay, ids in by_delay.items():
            provider_jobs.postpone(unit.connection, ids, seconds=delay, error=error)

    run(env, work)


def _synchronise(
    env: Environment,
    placement: Placement,
    job: ProviderJob,
    roots: dict[str, str | None],
    timeout: float | None,
) -> None:
    sync = ProviderSync(env, placement, job.provider_uuid, roots, timeout)
    if sync.do(job.kind):
        whole = {job.provider_uuid: job.host}
        run(env, lambda unit: mark(unit, whole, ProviderJobKind.PROVIDER))
    run(env, lambda unit: provider_jobs.finish(unit.connection, job))
