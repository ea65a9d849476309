"""Placement, as it looks from outside: our providers and who has what of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hardware import Deployable
from waiting import expect

OWNER = "OWNER_CYBORG"

_VERSION = "1.36"


class Placement:
    """Reads, and the changes by hand that our service must undo."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    # -- reading

    def providers(self) -> dict[str, dict[str, Any]]:
        """Return all providers by uuid."""
        return {p["uuid"]: p for p in self._get("/resource_providers")["resource_providers"]}

    def ours(self) -> list[str]:
        """Return the uuids of the providers that bear the mark of an accelerator service."""
        found = self._get(f"/resource_providers?required={OWNER}")["resource_providers"]
        return [provider["uuid"] for provider in found]

    def inventories(self, provider: str) -> dict[str, dict[str, Any]]:
        """Return the inventories of a provider by resource class, none if it is not there."""
        answer = self._get(f"/resource_providers/{provider}/inventories", missing={})
        inventories: dict[str, dict[str, Any]] = answer.get("inventories", {})
        return inventories

    def inventory(self, provider: str) -> dict[str, Any]:
        """Return the inventory of a provider of ours, which has one only."""
        found = self.inventories(provider)
        expect(len(found) == 1, f"the provider {provider} has inventories {found}")
        [inventory] = found.values()
        return inventory

    def traits(self, provider: str) -> set[str]:
        """Return a provider's traits."""
        return set(
            self._get(f"/resource_providers/{provider}/traits", missing={}).get("traits", ())
        )

    def used(self, provider: str) -> int:
        """Return how much of a provider is allocated."""
        answer = self._get(f"/resource_providers/{provider}/usages", missing={})
        return sum(answer.get("usages", {}).values())

    def consumers(self, provider: str) -> list[str]:
        """Return who has something of a provider."""
        answer = self._get(f"/resource_providers/{provider}/allocations", missing={})
        return sorted(answer.get("allocations", {}))

    def allocated(self, consumer: str, resource_class: str) -> dict[str, int]:
        """Return how much of a resource class a consumer has, by provider."""
        allocations = self._get(f"/allocations/{consumer}")["allocations"]
        amounts = {p: a["resources"].get(resource_class, 0) for p, a in allocations.items()}
        return {provider: amount for provider, amount in amounts.items() if amount}

    def free(self, provider: str) -> int:
        """Return how much somebody could still get.

        The usage is read first: who frees raises what is reserved before they lower the usage.
        """
        used = self.used(provider)
        inventory = self.inventory(provider)
        return int(inventory["total"]) - int(inventory["reserved"]) - used

    # -- checking

    def expect_whole(self, deployable: Deployable, reserved: int = 0) -> None:
        """Fail unless the provider of a deployable is all that it must be.

        :raises Unexpected: with what is wrong.
        """
        name, total = deployable.name, deployable.total
        providers = self.providers()
        expect(deployable.uuid in providers, f"there is no provider {name}")
        found = providers[deployable.uuid]
        expect(found["name"] == name, f"its name is {found['name']}, not {name}")
        parent = providers.get(found["parent_provider_uuid"], {}).get("name")
        expect(parent == deployable.host, f"the parent of {name} is {parent}")
        inventories = self.inventories(deployable.uuid)
        classes = list(inventories)
        expect(classes == [deployable.resource_class], f"{name} has inventories of {classes}")
        inventory = inventories[deployable.resource_class]
        seen = {key: inventory.get(key) for key in ("total", "reserved")}
        expect(seen == {"total": total, "reserved": reserved}, f"inventory of {name}: {inventory}")
        expect(inventory["max_unit"] >= total, f"max_unit of {name}: {inventory}")
        missing = {*deployable.traits, OWNER} - self.traits(deployable.uuid)
        expect(not missing, f"traits of {name} without {', '.join(sorted(missing))}")

    # -- meddling

    def delete_provider(self, provider: str) -> None:
        """Delete a provider that nobody uses."""
        self._change("DELETE", f"/resource_providers/{provider}")

    def release(self, consumer: str) -> None:
        """Take away all that a consumer has."""
        self._change("DELETE", f"/allocations/{consumer}")

    def set_inventory(self, deployable: Deployable, total: int) -> None:
        """Give a deployable's provider another amount, and nothing reserved."""
        generation = self._generation(deployable.uuid)
        inventory = {"resource_provider_generation": generation, "total": total}
        path = f"/resource_providers/{deployable.uuid}/inventories/{deployable.resource_class}"
        self._change("PUT", path, inventory)

    def set_traits(self, provider: str, traits: list[str]) -> None:
        """Give a provider these traits and no others."""
        body = {"resource_provider_generation": self._generation(provider), "traits": traits}
        self._change("PUT", f"/resource_providers/{provider}/traits", body)

    def custom_names(self) -> set[str]:
        """Return the paths of the traits and resource classes that are not of the standard."""
        traits = self._get("/traits?name=startswith:CUSTOM_")["traits"]
        classes = self._get("/resource_classes")["resource_classes"]
        names = [found["name"] for found in classes if found["name"].startswith("CUSTOM_")]
        return {f"/traits/{name}" for name in traits} | {
            f"/resource_classes/{name}" for name in names
        }

    def forget_names(self, paths: Iterable[str]) -> None:
        """Forget traits and resource classes that no provider has."""
        for path in paths:
            self._change("DELETE", path)

    def _generation(self, provider: str) -> int:
        return int(self._get(f"/resource_providers/{provider}")["generation"])

    def _get(self, path: str, missing: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._adapter.get(path, microversion=_VERSION, raise_exc=False)
        if answer.status_code == 404 and missing is not None:
            return missing
        expect(answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:300]}")
        body: dict[str, Any] = answer.json()
        return body

    def _change(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        answer = self._adapter.request(
            path, method, json=body, microversion=_VERSION, raise_exc=False
        )
        good = answer.status_code < 300 or (method == "DELETE" and answer.status_code == 404)
        expect(good, f"{method} {path}: {answer.status_code} {answer.text[:300]}")
