"""Placement: providers, inventories, traits, allocations.

Every provider has a generation. What is written names the one that was read before, and is
refused if somebody was faster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from keystoneauth1.adapter import Adapter
from oslo_config import cfg

from cyborg.clients.http import Answer, Service, load_adapter
from cyborg.domain.providers import Inventories

#: Trees, the body of a created provider, reserved = total, error codes.
_VERSION = "1.26"
#: A provider can be given another parent.
_REPARENT = "1.37"

_INVENTORY_KEYS = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")


class GenerationConflict(Exception):
    """Somebody else has changed the provider since it was read."""


class ProviderInUse(Exception):
    """Allocations forbid it."""


class NameTaken(Exception):
    """Another provider has that name."""


class UnknownName(Exception):
    """A resource class or trait that Placement does not know."""


@dataclass(frozen=True, slots=True)
class Provider:
    uuid: str
    name: str
    generation: int
    parent_uuid: str | None


@dataclass(frozen=True, slots=True)
class ProviderInventories:
    generation: int
    inventories: Inventories


@dataclass(frozen=True, slots=True)
class ProviderTraits:
    generation: int
    traits: frozenset[str]


def load_placement(conf: cfg.ConfigOpts) -> Placement | None:
    """Return Placement as ``[placement]`` says, None if it says nothing.

    :raises ConfigurationError: it says something that cannot be used.
    """
    adapter = load_adapter(conf, "placement")
    return None if adapter is None else Placement(adapter)


class Placement:
    """Every method may raise ``ServiceUnavailable``."""

    def __init__(self, adapter: Adapter) -> None:
        self._service = Service("Placement", adapter)

    def provider(self, uuid: str) -> Provider | None:
        """Return a provider."""
        answer = self._get(f"/resource_providers/{uuid}")
        return None if answer is None else self._service.read(answer, _provider)

    def provider_named(self, name: str) -> Provider | None:
        """Return the provider of a name."""
        found = self._providers({"name": name})
        return found[0] if found else None

    def tree(self, uuid: str, required_trait: str | None = None) -> list[Provider]:
        """Return the providers of the tree that a provider is in, those with a trait only."""
        query = {"in_tree": uuid}
        if required_trait is not None:
            query["required"] = required_trait
        return self._providers(query)

    def create_provider(self, uuid: str, name: str, parent_uuid: str) -> Provider:
        """Create a provider below another one.

        :raises NameTaken: another provider has the name, or the uuid is taken meanwhile.
        """
        body = {"uuid": uuid, "name": name, "parent_provider_uuid": parent_uuid}
        answer = self._ask("POST", "/resource_providers", body)
        if answer.status == 409:
            raise NameTaken
        self._require(answer, 200)
        return self._service.read(answer, _provider)

    def move_provider(self, provider: Provider, parent_uuid: str) -> None:
        """Give a provider another parent."""
        body = {"name": provider.name, "parent_provider_uuid": parent_uuid}
        path = f"/resource_providers/{provider.uuid}"
        answer = self._service.ask("PUT", path, version=_REPARENT, body=body)
        self._require(answer, 200)

    def delete_provider(self, uuid: str) -> None:
        """Delete a provider; one that is not there is a success.

        :raises ProviderInUse: it has allocations, or providers below it.
        """
        answer = self._ask("DELETE", f"/resource_providers/{uuid}")
        if answer.status == 409:
            raise ProviderInUse
        self._require(answer, 204, 404)

    def inventories(self, uuid: str, timeout: float | None = None) -> ProviderInventories | None:
        """Return a provider's inventories, None if there is no such provider."""
        answer = self._get(f"/resource_providers/{uuid}/inventories", timeout)
        return None if answer is None else self._service.read(answer, _inventories)

    def put_inventories(
        self,
        uuid: str,
        generation: int,
        inventories: Inventories,
        timeout: float | None = None,
    ) -> int:
        """Replace a provider's inventories; return its new generation.

        :raises GenerationConflict: the generation has moved on.
        :raises ProviderInUse: a class that is left out has allocations.
        :raises UnknownName: a class does not exist.
        """
        body = {"resource_provider_generation": generation, "inventories": inventories}
        path = f"/resource_providers/{uuid}/inventories"
        return self._put(path, body, timeout)

    def traits(self, uuid: str) -> ProviderTraits | None:
        """Return a provider's traits, None if there is no such provider."""
        answer = self._get(f"/resource_providers/{uuid}/traits")
        return None if answer is None else self._service.read(answer, _traits)

    def put_traits(self, uuid: str, generation: int, traits: Collection[str]) -> int:
        """Replace a provider's traits; return its new generation.

        :raises GenerationConflict: the generation has moved on.
        :raises UnknownName: a trait does not exist.
        """
        body = {"resource_provider_generation": generation, "traits": sorted(traits)}
        return self._put(f"/resource_providers/{uuid}/traits", body, None)

    def create_class(self, name: str) -> None:
        """Create a custom resource class, unless it is there."""
        self._require(self._ask("PUT", f"/resource_classes/{quote(name)}"), 201, 204)

    def create_trait(self, name: str) -> None:
        """Create a custom trait, unless it is there."""
        self._require(self._ask("PUT", f"/traits/{quote(name)}"), 201, 204)

    def existing_traits(self, names: Collection[str]) -> frozenset[str]:
        """Return those of these traits that exist."""
        query = urlencode({"name": "in:" + ",".join(sorted(names))})
        answer = self._ask("GET", f"/traits?{query}")
        self._require(answer, 200)
        return self._service.read(answer, lambda body: frozenset(body["traits"]))

    def consumers(self, uuid: str) -> frozenset[str] | None:
        """Return who has allocations on a provider, None if there is no such provider."""
        answer = self._get(f"/resource_providers/{uuid}/allocations")
        if answer is None:
            return None
        return self._service.read(answer, lambda body: frozenset(dict(body["allocations"])))

    def _providers(self, query: Mapping[str, str]) -> list[Provider]:
        answer = self._ask("GET", f"/resource_providers?{urlencode(query)}")
        self._require(answer, 200)
        return self._service.read(
            answer, lambda body: [_provider(item) for item in body["resource_providers"]]
        )

    def _get(self, path: str, timeout: float | None = None) -> Answer | None:
        answer = self._ask("GET", path, timeout=timeout)
        self._require(answer, 200, 404)
        return None if answer.status == 404 else answer

    def _put(self, path: str, body: object, timeout: float | None) -> int:
        answer = self._ask("PUT", path, body, timeout)
        if answer.status == 409:
            if answer.error_code() == "placement.inventory.inuse":
                raise ProviderInUse
            raise GenerationConflict
        if answer.status == 404:
            raise GenerationConflict
        if answer.status == 400:
            raise UnknownName(" ".join(answer.text.split())[:300])
        self._require(answer, 200)
        return self._service.read(answer, lambda body: int(body["resource_provider_generation"]))

    def _ask(
        self, method: str, path: str, body: object = None, timeout: float | None = None
    ) -> Answer:
        return self._service.ask(method, path, version=_VERSION, body=body, timeout=timeout)

    def _require(self, answer: Answer, *statuses: int) -> None:
        if answer.status not in statuses:
            raise self._service.unexpected(answer)


def _provider(body: Any) -> Provider:
    return Provider(
        uuid=str(body["uuid"]),
        name=str(body["name"]),
        generation=int(body["generation"]),
        parent_uuid=body.get("parent_provider_uuid"),
    )


def _inventories(body: Any) -> ProviderInventories:
    found = {
        str(name): {key: values[key] for key in _INVENTORY_KEYS}
        for name, values in body["inventories"].items()
    }
    return ProviderInventories(int(body["resource_provider_generation"]), found)


def _traits(body: Any) -> ProviderTraits:
    return ProviderTraits(int(body["resource_provider_generation"]), frozenset(body["traits"]))
