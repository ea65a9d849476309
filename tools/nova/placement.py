"""Placement, as it looks from outside: our providers and who has what of them."""

from __future__ import annotations

import uuid
from typing import Any

from waiting import expect

RESOURCE_CLASS = "FPGA"
TRAIT = "CUSTOM_FAKE_DEVICE"
OWNER = "OWNER_CYBORG"

_VERSION = "1.36"


def provider_name(host: str) -> str:
    """Return the name of the provider of a host's first fake device."""
    return f"{host}_FakeDevice"


def provider_uuid(host: str) -> str:
    """Return the uuid of the provider of a host's first fake device."""
    return str(uuid.uuid3(uuid.NAMESPACE_DNS, provider_name(host)))


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

    def inventory(self, provider: str) -> dict[str, Any]:
        """Return the inventory of our resource class."""
        answer = self._get(f"/resource_providers/{provider}/inventories", missing={})
        inventory: dict[str, Any] = answer.get("inventories", {}).get(RESOURCE_CLASS, {})
        return inventory

    def traits(self, provider: str) -> set[str]:
        """Return a provider's traits."""
        return set(
            self._get(f"/resource_providers/{provider}/traits", missing={}).get("traits", ())
        )

    def used(self, provider: str) -> int:
        """Return how much of a provider is allocated."""
        answer = self._get(f"/resource_providers/{provider}/usages", missing={})
        return int(answer.get("usages", {}).get(RESOURCE_CLASS, 0))

    def consumers(self, provider: str) -> list[str]:
        """Return who has something of a provider."""
        answer = self._get(f"/resource_providers/{provider}/allocations", missing={})
        return sorted(answer.get("allocations", {}))

    def allocated(self, consumer: str) -> dict[str, int]:
        """Return how much of our resource class a consumer has, by provider."""
        allocations = self._get(f"/allocations/{consumer}")["allocations"]
        amounts = {p: a["resources"].get(RESOURCE_CLASS, 0) for p, a in allocations.items()}
        return {provider: amount for provider, amount in amounts.items() if amount}

    def free(self, provider: str) -> int:
        """Return how much somebody could still get.

        The usage is read first: who frees raises what is reserved before they lower the usage.
        """
        used = self.used(provider)
        inventory = self.inventory(provider)
        return int(inventory["total"]) - int(inventory["reserved"]) - used

    # -- checking

    def expect_whole(self, host: str, total: int, reserved: int = 0) -> None:
        """Fail unless the provider of a host's device is all that it must be.

        :raises Unexpected: with what is wrong.
        """
        provider = provider_uuid(host)
        providers = self.providers()
        expect(provider in providers, f"there is no provider {provider_name(host)}")
        found = providers[provider]
        expect(found["name"] == provider_name(host), f"its name is {found['name']}")
        parent = providers.get(found["parent_provider_uuid"], {}).get("name")
        expect(parent == host, f"its parent is {parent}, not {host}")
        inventory = self.inventory(provider)
        seen = {key: inventory.get(key) for key in ("total", "reserved")}
        expect(seen == {"total": total, "reserved": reserved}, f"inventory of {host}: {inventory}")
        expect(inventory["max_unit"] >= total, f"max_unit of {host}: {inventory}")
        missing = {TRAIT, OWNER} - self.traits(provider)
        expect(not missing, f"traits of {host} without {', '.join(sorted(missing))}")

    # -- meddling

    def delete_provider(self, provider: str) -> None:
        """Delete a provider that nobody uses."""
        self._change("DELETE", f"/resource_providers/{provider}")

    def release(self, consumer: str) -> None:
        """Take away all that a consumer has."""
        self._change("DELETE", f"/allocations/{consumer}")

    def set_inventory(self, provider: str, total: int) -> None:
        """Give a provider another amount, and nothing reserved."""
        generation = self._generation(provider)
        inventory = {"resource_provider_generation": generation, "total": total}
        path = f"/resource_providers/{provider}/inventories/{RESOURCE_CLASS}"
        self._change("PUT", path, inventory)

    def set_traits(self, provider: str, traits: list[str]) -> None:
        """Give a provider these traits and no others."""
        body = {"resource_provider_generation": self._generation(provider), "traits": traits}
        self._change("PUT", f"/resource_providers/{provider}/traits", body)

    def delete_trait(self, name: str) -> None:
        """Forget a trait that no provider has."""
        self._change("DELETE", f"/traits/{name}")

    def has_trait(self, name: str) -> bool:
        """Return whether a trait exists."""
        return bool(self._get(f"/traits?name=in:{name}")["traits"])

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
