"""One provider in Placement, made what the database says.

The order is always: read the provider with its generation, then the database, then write on
condition of that generation. So of two conductors at work on one provider, the one that has
seen the older state of the database is refused by Placement, and looks again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

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
from cyborg.conductor.unit import run
from cyborg.db import providers as rows
from cyborg.domain.model import ProviderJobKind
from cyborg.domain.providers import (
    OWNER_TRAIT,
    Inventories,
    RecordedProvider,
    all_reserved,
    belongs_to_another,
    desired_inventories,
    desired_traits,
)

LOG = log.getLogger(__name__)

#: How often a provider is looked at while it goes on changing.
TRIES = 4


class NotYet(Exception):
    """What it needs is not there; to be expected, and mended by waiting."""


class Refused(Exception):
    """Somebody else's provider is in the way."""


class LookAgain(Exception):
    """What was read of it is not true any more."""


@dataclass(frozen=True, slots=True)
class ProviderSync:
    """Makes one provider what it should be."""

    env: Environment
    placement: Placement
    uuid: str
    #: Host to its compute node's provider, as far as it has been asked for.
    roots: dict[str, str | None]
    #: Seconds that a call to Placement may take; None: what is configured.
    timeout: float | None

    def do(self, kind: ProviderJobKind) -> bool:
        """Do one kind of work; return True if all of the provider has to be looked at.

        :raises NotYet: if what it needs is not there.
        :raises Refused: if somebody else's provider is in the way.
        :raises UnknownName: if Placement knows a class or a trait neither by itself nor of ours.
        :raises LookAgain: if it went on changing while it was looked at.
        :raises ServiceUnavailable: if Placement or the database cannot be asked.
        """
        work = {
            ProviderJobKind.PROVIDER: self._provider,
            ProviderJobKind.INVENTORY: self._inventory,
            ProviderJobKind.TRAITS: self._traits,
        }[kind]
        for _ in range(TRIES - 1):
            try:
                return work()
            except (GenerationConflict, LookAgain):
                continue
        try:
            return work()
        except GenerationConflict as error:
            raise LookAgain from error

    def _inventory(self) -> bool:
        found = self.placement.inventories(self.uuid, self.timeout)
        wanted = self._recorded()
        if found is None or wanted is None:
            return True
        self._put_inventories(found, wanted)
        return False

    def _traits(self) -> bool:
        found = self.placement.traits(self.uuid)
        wanted = self._recorded()
        if found is None or wanted is None:
            return True
        self._put_traits(found, wanted)
        return False

    def _provider(self) -> bool:
        have = self.placement.provider(self.uuid)
        if have is None:
            wanted = self._recorded()
            if wanted is None:
                return False
            have = self._create(wanted)
            traits = ProviderTraits(have.generation, frozenset())
            inventories = ProviderInventories(have.generation, {})
        else:
            traits, inventories = self._parts()
        wanted = self._recorded()
        if wanted is None:
            self._remove(have, traits, inventories)
            return False
        self._place(have, traits, self._root(wanted.host))
        generation = self._put_traits(traits, wanted)
        if inventories.generation != traits.generation:
            raise LookAgain
        generation = self._put_inventories(
            ProviderInventories(generation, inventories.inventories), wanted
        )
        run(
            self.env,
            lambda unit: rows.record_generation(unit.connection, self.uuid, generation),
        )
        return False

    def _recorded(self) -> RecordedProvider | None:
        with self.env.database.reader() as connection:
            return rows.recorded_providers(connection, [self.uuid]).get(self.uuid)

    def _parts(self) -> tuple[ProviderTraits, ProviderInventories]:
        traits = self.placement.traits(self.uuid)
        inventories = self.placement.inventories(self.uuid)
        if traits is None or inventories is None:
            # It has gone since it was found.
            raise LookAgain
        return traits, inventories

    def _root(self, host: str) -> str:
        if host not in self.roots:
            found = self.placement.provider_named(host)
            self.roots[host] = None if found is None else found.uuid
            if found is not None:
                run(self.env, lambda unit: rows.record_root(unit.connection, host, found.uuid))
        root = self.roots[host]
        if root is None:
            raise NotYet(f"the compute node's provider {host} is not in Placement yet")
        return root

    def _create(self, wanted: RecordedProvider) -> Provider:
        try:
            made = self.placement.create_provider(self.uuid, wanted.name, self._root(wanted.host))
        except NameTaken as error:
            if self.placement.provider(self.uuid) is not None:
                raise LookAgain from error
            raise Refused(f"another provider has the name {wanted.name}") from error
        LOG.info("provider created provider=%s name=%s", made.uuid, made.name)
        return made

    def _place(self, have: Provider, traits: ProviderTraits, root: str) -> None:
        """Adopt what is ours by uuid and place; move what is ours by its trait."""
        if belongs_to_another(traits.traits):
            raise Refused("its traits say that another service owns it")
        if have.parent_uuid == root:
            return
        if OWNER_TRAIT not in traits.traits:
            raise Refused(f"it is not ours, and not below the compute node's provider {root}")
        self.placement.move_provider(have, root)
        LOG.info("provider moved provider=%s parent=%s", self.uuid, root)
        # Its generation is another one since.
        raise LookAgain

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
            raise NotYet(f"provider {have.name} has no device, but allocations") from error
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
            raise Refused("its traits say that another service owns it")
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
