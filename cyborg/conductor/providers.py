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
from functools import partial
from typing import ClassVar

from oslo_log import log

from cyborg.clients.http import BadAnswer, NoAnswer
from cyborg.clients.placement import Placement, UnknownName
from cyborg.conductor.asking import Budget
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

#: Calls about a provider whose inventory alone is written, which share what is left of the time
#: that an answer of the API waits.
INLINE_CALLS = 2
INLINE_LEASE = 10

#: Most seconds between two attempts: Placement or the compute node's provider may be there
#: soon; what only an operator or the end of an allocation can mend may take longer.
SOON, LATER = 15.0, 60.0

#: Seconds until those are tried that were not, since Placement could not be asked.
UNTRIED = 2.0

#: So many jobs one after the other to which Placement gave no proper answer: it is not the jobs.
IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Publish:
    """Bring the inventories of providers up to date, before the caller is answered.

    If Placement cannot be asked now it is done later: the bind of whoever is sent to such a
    provider meanwhile is refused.
    """

    providers: frozenset[str]
    order: ClassVar[Order] = Order.PLACEMENT

    def do(self, env: Environment, budget: Budget) -> None:
        """Do it, waiting for Placement no longer than an answer of the API may.

        :raises ServiceUnavailable: it takes longer, or did a moment ago.
        """
        if env.placement is None:
            return
        inventory = ProviderJobKind.INVENTORY
        with env.database.reader() as connection:
            jobs = provider_jobs.of_providers(connection, self.providers, inventory)
        end = time.monotonic() + budget.left
        env.asking.ask("Placement", partial(_publish, env, env.placement, jobs, end), budget)


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


def _publish(
    env: Environment, placement: Placement, jobs: Sequence[ProviderJob], end: float
) -> None:
    """Do jobs while somebody waits.

    :raises NoAnswer: Placement has not answered in time.
    """
    trouble = _work(env, placement, jobs, end)
    if isinstance(trouble, NoAnswer):
        raise trouble


def _work(
    env: Environment, placement: Placement, jobs: Sequence[ProviderJob], end: float | None
) -> ServiceUnavailable | None:
    """Do jobs, one after the other. What is wrong with one of them costs that one.

    :param end: when somebody waits for the answer no longer, by the monotonic clock.
    :returns: why Placement could not be asked, if so.
    """
    roots: dict[str, str | None] = {}
    waiting: dict[str, list[ProviderJob]] = {}
    bad_answers = 0
    trouble: ServiceUnavailable | None = None
    for position, job in enumerate(jobs):
        try:
            with working_for(job.request_id, job.global_request_id):
                _synchronise(env, placement, job, roots, _time_of_a_call(end))
            bad_answers = 0
        except BadAnswer as error:
            LOG.error("provider not synchronised provider=%s: %s", job.provider_uuid, error)
            _postpone(env, [job], LATER, str(error))
            bad_answers += 1
            if bad_answers == IN_A_ROW:
                trouble = error
                _let_go(env, jobs[position + 1 :])
                break
        except ServiceUnavailable as error:
            trouble = error
            # It is the same for all others.
            LOG.warning("providers not synchronised jobs=%d: %s", len(jobs) - position, error)
            _postpone(env, [job], SOON, str(error))
            _let_go(env, jobs[position + 1 :])
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
    return trouble


def _let_go(env: Environment, jobs: Sequence[ProviderJob]) -> None:
    """Give back what was not tried, and so has not failed."""
    ids = [job.id for job in jobs]
    if ids:
        run(env, lambda unit: provider_jobs.let_go(unit.connection, ids, seconds=UNTRIED))


def _time_of_a_call(end: float | None) -> float | None:
    """Return how long a call about the next provider may take, so that its calls end in time.

    :raises ServiceUnavailable: there is no time left.
    """
    if end is None:
        return None
    left = end - time.monotonic()
    if left <= 0:
        raise ServiceUnavailable("Placement is slow, and the answer does not wait any more.")
    return left / INLINE_CALLS


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
