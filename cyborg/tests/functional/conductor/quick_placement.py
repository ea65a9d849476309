"""A Placement in memory, for what is not about Placement itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from cyborg.clients.placement import (
    Placement,
    Provider,
    ProviderInventories,
    ProviderTraits,
)
from cyborg.domain.providers import OWNER_TRAIT, Inventories


class QuickPlacement(Placement):
    """Every provider is there, ours, and below its host's."""

    def __init__(self) -> None:
        self._inventories: dict[str, Inventories] = {}
        self._generations: Counter[str] = Counter()

    def provider(self, uuid: str) -> Provider | None:
        return Provider(uuid, uuid, self._generations[uuid], "root")

    def provider_named(self, name: str) -> Provider | None:
        return Provider("root", name, 1, None)

    def delete_provider(self, uuid: str) -> None:
        self._inventories.pop(uuid, None)

    def inventories(self, uuid: str, timeout: float | None = None) -> ProviderInventories | None:
        return ProviderInventories(self._generations[uuid], self._inventories.get(uuid, {}))

    def put_inventories(
        self,
        uuid: str,
        generation: int,
        inventories: Inventories,
        timeout: float | None = None,
    ) -> int:
        self._inventories[uuid] = inventories
        self._generations[uuid] += 1
        return self._generations[uuid]

    def traits(self, uuid: str) -> ProviderTraits | None:
        return ProviderTraits(self._generations[uuid], frozenset({OWNER_TRAIT}))

    def put_traits(self, uuid: str, generation: int, traits: Collection[str]) -> int:
        return self._generations[uuid]
