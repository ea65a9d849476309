"""What Placement has of us, beside what it should have. Nothing is changed.

Of each provider Placement is read first and the database afterwards, as everywhere: what changes
in between differs once, and the audit looks twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from cyborg.clients.placement import Placement, Provider
from cyborg.conductor.audit.disagreement import About, Disagreement, Kind
from cyborg.conductor.environment import Environment
from cyborg.db import audit as rows
from cyborg.db.providers import host_names, recorded_providers
from cyborg.domain.facts import Facts
from cyborg.domain.providers import (
    OWNER_TRAIT,
    Inventories,
    RecordedProvider,
    belongs_to_another,
    desired_inventories,
    desired_traits,
)


@dataclass(frozen=True, slots=True)
class FoundProvider:
    """A provider as Placement has it."""

    provider: Provider
    traits: frozenset[str]
    inventories: Inventories
    #: Who has allocations on it.
    consumers: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundHost:
    """What Placement has below the compute node of a host."""

    name: str
    #: Uuid of the compute node's provider, if it is there.
    root: str | None
    providers: Mapping[str, FoundProvider] = field(default_factory=dict)


def read_hosts(env: Environment, placement: Placement, facts: Facts) -> Iterator[FoundHost]:
    """Return what Placement has of each host: two calls, and four for each provider.

    :raises ServiceUnavailable: Placement or the database cannot be asked.
    """
    with env.database.reader() as connection:
        names = host_names(connection)
    of_host: dict[str, set[str]] = defaultdict(set)
    for part in facts.deployables.values():
        of_host[part.host].add(part.rp_uuid)
    for name in names:
        root = placement.provider_named(name)
        ours = [] if root is None else placement.tree(root.uuid, OWNER_TRAIT)
        uuids = {*(each.uuid for each in ours), *of_host[name]}
        found = (_read(placement, uuid) for uuid in sorted(uuids))
        providers = {each.provider.uuid: each for each in found if each is not None}
        yield FoundHost(name, None if root is None else root.uuid, providers)


def _read(placement: Placement, uuid: str) -> FoundProvider | None:
    provider = placement.provider(uuid)
    traits = placement.traits(uuid)
    inventories = placement.inventories(uuid)
    consumers = placement.consumers(uuid)
    if provider is None or traits is None or inventories is None or consumers is None:
        return None
    return FoundProvider(provider, traits.traits, inventories.inventories, consumers)


def of_host(
    env: Environment, placement: Placement, host: FoundHost, facts: Facts
) -> Iterator[Disagreement]:
    """Return what of a host's providers is not as it should be, and is not being made so."""
    ours = {part.rp_uuid for part in facts.deployables.values() if part.host == host.name}
    with env.database.reader() as connection:
        recorded = recorded_providers(connection, ours | host.providers.keys())
        under_way = rows.provider_jobs(connection)
    for uuid, wanted in recorded.items():
        if wanted.host != host.name:
            continue
        found = host.providers.get(uuid)
        job = under_way.get(uuid, rows.NO_JOB)
        # What a conductor is about to do, and has not tried in vain, is no disagreement.
        if job.failures or not job.is_there:
            yield from _compare(placement, host, wanted, found, job.last_error)
    for uuid in sorted(host.providers.keys() - recorded.keys()):
        job = under_way.get(uuid, rows.NO_JOB)
        if job.failures or not job.is_there:
            yield _orphaned(host, host.providers[uuid], job.last_error)


def _compare(
    placement: Placement,
    host: FoundHost,
    wanted: RecordedProvider,
    found: FoundProvider | None,
    error: str | None,
) -> Iterator[Disagreement]:
    if found is None:
        why = "" if host.root else f" Nor is the compute node's provider {host.name}."
        words = f"Resource provider {wanted.name} ({wanted.uuid}) is not in Placement.{why}"
        yield _about(Kind.PROVIDER_MISSING, host, wanted.uuid, words, error)
        return
    if belongs_to_another(found.traits):
        owners = ", ".join(sorted(trait for trait in found.traits if trait.startswith("OWNER_")))
        words = f"Resource provider {wanted.name} ({wanted.uuid}) is owned by another: {owners}."
        yield _about(Kind.PROVIDER_FOREIGN, host, wanted.uuid, words, error, healable=False)
        return
    differences = [*_differences(host, wanted, found), *_of_traits(placement, wanted, found)]
    if differences:
        words = (
            f"Resource provider {wanted.name} ({wanted.uuid}) differs: {'; '.join(differences)}."
        )
        yield _about(Kind.PROVIDER_DIFFERS, host, wanted.uuid, words, error)


def _differences(host: FoundHost, wanted: RecordedProvider, found: FoundProvider) -> Iterator[str]:
    if host.root is not None and found.provider.parent_uuid != host.root:
        yield f"it is below {found.provider.parent_uuid} and not below {host.root}"
    desired = desired_inventories(wanted)
    for name in sorted({*desired, *found.inventories}):
        have, should = found.inventories.get(name), desired.get(name)
        if have == should:
            continue
        if should is None and have is not None:
            # A class that was ours stays for as long as somebody has it.
            if not found.consumers or have["reserved"] != have["total"]:
                yield f"it has {name}, which it should not"
        elif should is not None and have is None:
            yield f"it has no {name}, of which there are {should['total']}"
        elif should is not None and have is not None:
            yield from (
                f"{key} of {name} is {have[key]} and not {value}"
                for key, value in should.items()
                if have[key] != value
            )


def _of_traits(
    placement: Placement, wanted: RecordedProvider, found: FoundProvider
) -> Iterator[str]:
    desired = desired_traits(wanted)
    lacking = desired - found.traits
    # A trait that Placement does not know cannot be given to anything.
    standard = frozenset(name for name in lacking if not name.startswith("CUSTOM_"))
    known = placement.existing_traits(standard) if standard else frozenset()
    for name in sorted(lacking - standard | known):
        yield f"it lacks the trait {name}"
    for name in sorted(found.traits - desired):
        yield f"it has the trait {name}, which it should not"


def _orphaned(host: FoundHost, found: FoundProvider, error: str | None) -> Disagreement:
    held = _those(found.consumers)
    words = (
        f"Resource provider {found.provider.name} ({found.provider.uuid}) is ours by its trait, "
        f"and no device is behind it{held}."
    )
    return _about(Kind.PROVIDER_ORPHANED, host, found.provider.uuid, words, error)


def _those(consumers: Collection[str]) -> str:
    return f"; allocations of {', '.join(sorted(consumers))}" if consumers else ""


def _about(
    kind: Kind,
    host: FoundHost,
    uuid: str,
    words: str,
    error: str | None,
    *,
    healable: bool = True,
) -> Disagreement:
    said = f" It was tried in vain: {error}." if error else ""
    return Disagreement(kind, About.PROVIDER, uuid, host.name, words + said, healable=healable)
