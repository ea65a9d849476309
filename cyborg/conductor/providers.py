"""Making providers in Placement what they should be.

Placement is a projection of the database. A change that it must hear of marks the provider
in its own transaction (:func:`mark`); the work is done by any conductor, again and again until
it has succeeded (:func:`sweep`), or at once where the caller of the API must not be answered
before (:class:`Publish`).

The order is always: read the provider with its generation, then the database, then write on
condition of that generation. So of two conductors at work on one provider, the one that has
seen the older state of the database is refused by Placement, and looks again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from oslo_log import log

from cyborg.clients.placement import (
    GenerationConflict,
    NameTaken,
    Placement,
    Provider,
    ProviderInUse,
    ProviderInventories,
    ProviderTraits,
    UnknownName,
)
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Order, Unit, run
from cyborg.db import provider_jobs
from cyborg.db import providers as rows
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import ProviderJob, ProviderJobKind
from cyborg.domain.providers import (
    OWNER_TRAIT,
    Inventories,
    RecordedProvider,
    all_reserved,
    belongs_to_another,
    desired_inventories,
    desired_traits,
)
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: How many jobs one look takes at most.
BATCH = 20

#: Seconds that an answer of the API waits for Placement, for each call to it.
INLINE_TIMEOUT = 5.0
INLINE_LEASE = 30

#: How often a provider is read again because somebody else has changed it meanwhile.
TRIES = 4

#: Most seconds between two attempts: Placement or the compute node's provider may be there
#: soon; what only an operator or the end of an allocation can mend may take longer.
SOON, LATER = 15.0, 60.0


class _NotYet(Exception):
    """What it needs is not there; to be expected, and mended by waiting."""


class _Refused(Exception):
    """Somebody else's provider is in the way."""


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
        _work(env, env.placement, jobs, INLINE_TIMEOUT)


def mark(
    unit: Unit, providers: Mapping[str, str], kind: ProviderJobKind, *, at_once: bool = False
) -> None:
    """Note that Placement must hear of providers (uuid to host).

    :param at_once: of inventories; see to it right after the commit.
    """
    env = unit.env
    if env.placement is None or not providers:
        return
    lease = INLINE_LEASE if at_once else 0
    provider_jobs.mark(unit.connection, providers, kind, env.new_uuid, unit.now, lease=lease)
    if at_once:
        unit.after(Publish(frozenset(providers)))


def sweep(env: Environment) -> int:
    """Do what is due; return how much was."""
    if env.placement is None:
        return 0
    lease = env.conf.conductor.job_lease
    jobs = run(env, lambda unit: provider_jobs.claim_due(unit.connection, lease=lease, limit=BATCH))
    _work(env, env.placement, jobs, None)
    return len(jobs)


def _work(
    env: Environment, placement: Placement, jobs: Sequence[ProviderJob], timeout: float | None
) -> None:
    roots: dict[str, str | None] = {}
    waiting: dict[str, list[ProviderJob]] = {}
    for position, job in enumerate(jobs):
        try:
            with working_for(job.request_id, job.global_request_id):
                _synchronise(env, placement, job, roots, timeout)
        except ServiceUnavailable as error:
            # It is the same for all others.
            left = jobs[position:]
            LOG.warning("providers not synchronised jobs=%d: %s", len(left), error)
            _postpone(env, left, SOON, str(error))
            break
        except _NotYet as error:
            waiting.setdefault(str(error), []).append(job)
        except (_Refused, UnknownName) as error:
            LOG.error("provider not synchronised provider=%s: %s", job.provider_uuid, error)
            _postpone(env, [job], LATER, str(error))
        except GenerationConflict:
            _postpone(env, [job], SOON, "others change it at the same time")
    for reason, members in waiting.items():
        LOG.warning("providers wait host=%s jobs=%d: %s", members[0].host, len(members), reason)
        _postpone(env, members, SOON, reason)


def _postpone(env: Environment, jobs: Sequence[ProviderJob], most: float, error: str) -> None:
    by_delay: dict[float, list[int]] = {}
    for job in jobs:
        delay = min(most, 2.0 ** min(job.failures, 10))
        by_delay.setdefault(delay, []).append(job.id)

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
    one = _One(env, placement, job, roots, timeout)
    work = {
        ProviderJobKind.PROVIDER: one.provider,
        ProviderJobKind.INVENTORY: one.inventory,
        ProviderJobKind.TRAITS: one.traits,
    }[job.kind]
    for left in reversed(range(TRIES)):
        try:
            work()
            break
        except GenerationConflict:
            if not left:
                raise
    run(env, lambda unit: provider_jobs.finish(unit.connection, job))


@dataclass(frozen=True, slots=True)
class _One:
    """One provider. Each method raises ``GenerationConflict`` if somebody was faster."""

    env: Environment
    placement: Placement
    job: ProviderJob
    #: Host to its compute node's provider, as far as it has been asked for.
    roots: dict[str, str | None]
    timeout: float | None

    @property
    def uuid(self) -> str:
        return self.job.provider_uuid

    def inventory(self) -> None:
        found = self.placement.inventories(self.uuid, self.timeout)
        wanted = self._recorded()
        if found is None or wanted is None:
            self._look_at_all_of_it()
            return
        self._put_inventories(found, wanted)

    def traits(self) -> None:
        found = self.placement.traits(self.uuid)
        wanted = self._recorded()
        if found is None or wanted is None:
            self._look_at_all_of_it()
            return
        self._put_traits(found, wanted)

    def provider(self) -> None:
        have = self.placement.provider(self.uuid)
        if have is None:
            wanted = self._recorded()
            if wanted is None:
                return
            have = self._create(wanted)
            traits = ProviderTraits(have.generation, frozenset())
            inventories = ProviderInventories(have.generation, {})
        else:
            traits, inventories = self._parts()
        wanted = self._recorded()
        if wanted is None:
            self._remove(have, traits, inventories)
            return
        self._place(have, traits, self._root(wanted.host))
        generation = self._put_traits(traits, wanted)
        if inventories.generation != traits.generation:
            raise GenerationConflict
        generation = self._put_inventories(
            ProviderInventories(generation, inventories.inventories), wanted
        )
        run(
            self.env,
            lambda unit: rows.record_generation(unit.connection, self.uuid, generation),
        )

    def _recorded(self) -> RecordedProvider | None:
        with self.env.database.reader() as connection:
            return rows.recorded_providers(connection, [self.uuid]).get(self.uuid)

    def _look_at_all_of_it(self) -> None:
        whole = {self.uuid: self.job.host}
        run(self.env, lambda unit: mark(unit, whole, ProviderJobKind.PROVIDER))

    def _parts(self) -> tuple[ProviderTraits, ProviderInventories]:
        traits = self.placement.traits(self.uuid)
        inventories = self.placement.inventories(self.uuid)
        if traits is None or inventories is None:
            raise GenerationConflict
        return traits, inventories

    def _root(self, host: str) -> str:
        if host not in self.roots:
            found = self.placement.provider_named(host)
            self.roots[host] = None if found is None else found.uuid
            if found is not None:
                run(self.env, lambda unit: rows.record_root(unit.connection, host, found.uuid))
        root = self.roots[host]
        if root is None:
            raise _NotYet(f"the compute node's provider {host} is not in Placement yet")
        return root

    def _create(self, wanted: RecordedProvider) -> Provider:
        try:
            made = self.placement.create_provider(self.uuid, wanted.name, self._root(wanted.host))
        except NameTaken as error:
            if self.placement.provider(self.uuid) is not None:
                raise GenerationConflict from error
            raise _Refused(f"another provider has the name {wanted.name}") from error
        LOG.info("provider created provider=%s name=%s", made.uuid, made.name)
        return made

    def _place(self, have: Provider, traits: ProviderTraits, root: str) -> None:
        """Adopt what is ours by uuid and place; move what is ours by its trait."""
        if belongs_to_another(traits.traits):
            raise _Refused("its traits say that another service owns it")
        if have.parent_uuid == root:
            return
        if OWNER_TRAIT not in traits.traits:
            raise _Refused(f"it is not ours, and not below the compute node's provider {root}")
        self.placement.move_provider(have, root)
        LOG.info("provider moved provider=%s parent=%s", self.uuid, root)
        raise GenerationConflict

    def _remove(
        self, have: Provider, traits: ProviderTraits, inventories: ProviderInventories
    ) -> None:
        if OWNER_TRAIT not in traits.traits:
            LOG.warning("provider stays, it is not ours provider=%s", self.uuid)
            return
        try:
            self.placement.delete_provider(self.uuid)
        except ProviderInUse as error:
            reserved = all_reserved(inventories.inventories)
            if reserved != inventories.inventories:
                self.placement.put_inventories(self.uuid, inventories.generation, reserved)
            raise _NotYet(f"provider {have.name} has no device, but allocations") from error
        LOG.info("provider deleted provider=%s name=%s", self.uuid, have.name)

    def _put_inventories(self, found: ProviderInventories, wanted: RecordedProvider) -> int:
        desired = desired_inventories(wanted)
        if found.inventories == desired:
            return found.generation
        try:
            generation = self._write_inventories(found.generation, desired)
        except ProviderInUse:
            # A class that was ours stays for as long as somebody has it; nobody else gets it.
            desired = {**all_reserved(found.inventories), **desired}
            generation = self._write_inventories(found.generation, desired)
        LOG.info(
            "inventory set provider=%s name=%s %s",
            self.uuid,
            wanted.name,
            " ".join(f"{name}={i['total']}-{i['reserved']}" for name, i in desired.items()),
        )
        return generation

    def _write_inventories(self, generation: int, inventories: Inventories) -> int:
        try:
            return self.placement.put_inventories(self.uuid, generation, inventories, self.timeout)
        except UnknownName:
            for name in inventories:
                if name.startswith("CUSTOM_"):
                    self.placement.create_class(name)
        return self.placement.put_inventories(self.uuid, generation, inventories, self.timeout)

    def _put_traits(self, found: ProviderTraits, wanted: RecordedProvider) -> int:
        if belongs_to_another(found.traits):
            raise _Refused("its traits say that another service owns it")
        desired = desired_traits(wanted)
        if found.traits == desired:
            return found.generation
        try:
            generation = self.placement.put_traits(self.uuid, found.generation, desired)
        except UnknownName:
            known = self._known_traits(desired)
            if found.traits == known:
                return found.generation
            generation = self.placement.put_traits(self.uuid, found.generation, known)
        LOG.info("traits set provider=%s name=%s", self.uuid, wanted.name)
        return generation

    def _known_traits(self, desired: Collection[str]) -> frozenset[str]:
        """Create those that may be created; return all that exist then."""
        for name in desired:
            if name.startswith("CUSTOM_"):
                self.placement.create_trait(name)
        known = self.placement.existing_traits(desired)
        if unknown := sorted(set(desired) - known):
            LOG.warning(
                "traits left out, Placement does not know them provider=%s traits=%s",
                self.uuid,
                ",".join(unknown),
            )
        return known
