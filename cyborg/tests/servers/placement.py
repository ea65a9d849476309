"""A private Placement."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, ClassVar
from uuid import uuid4

from requests import Response

from cyborg.tests.servers.keystone import REGION, Keystone
from cyborg.tests.servers.wsgi_service import WsgiService

_USER = "placement"
_VERSION = "placement 1.39"
_NOT_FOUND = 404
_LOCK_SECONDS = 30
#: Filled by tests; what is not listed is filled by Placement's own start.
_EMPTIED = (
    "allocations",
    "consumers",
    "inventories",
    "resource_provider_traits",
    "resource_provider_aggregates",
    "resource_providers",
    "placement_aggregates",
    "projects",
    "users",
)
_CUSTOMISED = ("traits", "resource_classes")


class Placement(WsgiService):
    """Placement, behind a Keystone or open to everybody who sends the token ``admin``.

    Committed data survives ``kill()``.
    """

    name = "placement"
    title = "Placement"
    program: ClassVar[str] = "placement-manage"

    def __init__(self, keystone: Keystone | None = None) -> None:
        super().__init__()
        self._keystone = keystone
        self._token = ""

    @property
    def url(self) -> str:
        """The URL that clients are given."""
        return f"http://127.0.0.1:{self.port}"

    def wipe(self) -> None:
        """Remove providers, allocations and all that is CUSTOM, and forget the requests.

        Behind Placement's back, in its database: it keeps nothing in memory between requests.
        """
        database = sqlite3.connect(self.folder / "placement.sqlite", timeout=_LOCK_SECONDS)
        with closing(database), database:
            for table in _EMPTIED:
                database.execute(f"DELETE FROM {table}")  # noqa: S608 -- our own constants
            for table in _CUSTOMISED:
                database.execute(f"DELETE FROM {table} WHERE name LIKE 'CUSTOM%'")  # noqa: S608 -- as above
        self.forget_requests()

    def ask(self, method: str, path: str, body: Any = None) -> Response:
        """Send one request as an administrator, on microversion 1.39."""
        if not self._token:
            self._token = "admin" if self._keystone is None else self._keystone.token(_USER)
        headers = {"X-Auth-Token": self._token, "OpenStack-API-Version": _VERSION}
        return self._request(method, self.url + path, json=body, headers=headers)

    def make_root(self, name: str) -> str:
        """Make a compute node's provider as Nova does; return its uuid."""
        uuid = str(uuid4())
        self._done("POST", "/resource_providers", {"name": name, "uuid": uuid})
        self.set_inventory(uuid, "MEMORY_MB", total=32768, reserved=512)
        self.set_traits(uuid, ["COMPUTE_ACCELERATORS"])
        return uuid

    def provider(self, uuid: str) -> dict[str, Any] | None:
        """Return a provider as Placement shows it, None where there is none."""
        answer = self.ask("GET", f"/resource_providers/{uuid}")
        if answer.status_code == _NOT_FOUND:
            return None
        found: dict[str, Any] = self._checked(answer).json()
        return found

    def providers(self) -> list[dict[str, Any]]:
        """Return all providers."""
        return self._listed("/resource_providers")

    def tree(self, uuid: str) -> list[dict[str, Any]]:
        """Return all providers of the tree that this one belongs to, itself included."""
        return self._listed(f"/resource_providers?in_tree={uuid}")

    def delete_provider(self, uuid: str) -> int:
        """Try to delete a provider; return the status, 204 when it is gone."""
        return self.ask("DELETE", f"/resource_providers/{uuid}").status_code

    def inventories(self, uuid: str) -> dict[str, dict[str, Any]]:
        """Return a provider's inventories by resource class."""
        found: dict[str, dict[str, Any]] = self._of(uuid, "inventories")["inventories"]
        return found

    def set_inventory(self, uuid: str, resource_class: str, **values: float) -> None:
        """Set one inventory of a provider: ``total`` and what else differs from the defaults."""
        if resource_class.startswith("CUSTOM_"):
            self._done("PUT", f"/resource_classes/{resource_class}")
        inventories = self.inventories(uuid) | {resource_class: values}
        self._replace(uuid, "inventories", {"inventories": inventories})

    def remove_inventory(self, uuid: str, resource_class: str) -> None:
        """Remove one inventory of a provider."""
        self._done("DELETE", f"/resource_providers/{uuid}/inventories/{resource_class}")

    def traits(self, uuid: str) -> set[str]:
        """Return a provider's traits."""
        return set(self._of(uuid, "traits")["traits"])

    def set_traits(self, uuid: str, traits: Iterable[str]) -> None:
        """Give a provider exactly these traits."""
        traits = sorted(traits)
        for trait in traits:
            if trait.startswith("CUSTOM_"):
                self._done("PUT", f"/traits/{trait}")
        self._replace(uuid, "traits", {"traits": traits})

    def usages(self, uuid: str) -> dict[str, int]:
        """Return how much of a provider's inventories is allocated."""
        found: dict[str, int] = self._of(uuid, "usages")["usages"]
        return found

    def offers(self, resource_class: str) -> dict[str, int]:
        """Return how much of a class each provider would still give away."""
        asked = f"/allocation_candidates?resources={resource_class}:1"
        found = self._done("GET", asked).json()
        uuids = {uuid for each in found["allocation_requests"] for uuid in each["allocations"]}
        resources = {
            uuid: found["provider_summaries"][uuid]["resources"][resource_class] for uuid in uuids
        }
        return {uuid: each["capacity"] - each["used"] for uuid, each in resources.items()}

    def allocate(
        self,
        consumer: str,
        resources: Mapping[str, Mapping[str, int]],
        project_id: str | None = None,
    ) -> None:
        """Give a consumer (a server) exactly these amounts, by provider and resource class."""
        before = self._done("GET", f"/allocations/{consumer}").json()
        body = {
            "allocations": {uuid: {"resources": dict(each)} for uuid, each in resources.items()},
            "consumer_generation": before.get("consumer_generation"),
            "consumer_type": "INSTANCE",
            "project_id": project_id or uuid4().hex,
            "user_id": uuid4().hex,
        }
        self._done("PUT", f"/allocations/{consumer}", body)

    def allocations(self, consumer: str) -> dict[str, dict[str, int]]:
        """Return what a consumer has, by provider and resource class."""
        found = self._done("GET", f"/allocations/{consumer}").json()["allocations"]
        return {uuid: one["resources"] for uuid, one in found.items()}

    def deallocate(self, consumer: str) -> None:
        """Take everything from a consumer."""
        self._done("DELETE", f"/allocations/{consumer}")

    def _of(self, uuid: str, what: str) -> dict[str, Any]:
        found: dict[str, Any] = self._done("GET", f"/resource_providers/{uuid}/{what}").json()
        return found

    def _listed(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._done("GET", path).json()["resource_providers"]
        return found

    def _replace(self, uuid: str, what: str, body: dict[str, Any]) -> None:
        generation = self._of(uuid, what)["resource_provider_generation"]
        body["resource_provider_generation"] = generation
        self._done("PUT", f"/resource_providers/{uuid}/{what}", body)

    def _done(self, method: str, path: str, body: Any = None) -> Response:
        return self._checked(self.ask(method, path, body))

    def _checked(self, answer: Response) -> Response:
        asked = f"{answer.request.method} {answer.request.path_url}"
        assert answer.ok, f"{asked} answered {answer.status_code} {answer.text}"
        return answer

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"OS_PLACEMENT_CONFIG_DIR": str(self.folder)}

    def _prepare(self) -> None:
        super()._prepare()
        self._token = ""
        settings = [
            "[placement_database]",
            f"connection = sqlite:///{self.folder}/placement.sqlite",
            "sqlite_synchronous = false",
            "sync_on_startup = true",
            "[api]",
            f"auth_strategy = {'noauth2' if self._keystone is None else 'keystone'}",
        ]
        if self._keystone is not None:
            settings += ["[keystone_authtoken]", "service_token_roles_required = true"]
            own = self._keystone.credentials(_USER) | {
                "www_authenticate_uri": self._keystone.url,
                "region_name": REGION,
                "interface": "internal",
            }
            settings += [f"{key} = {value}" for key, value in own.items()]
        self._write("placement.conf", settings)
