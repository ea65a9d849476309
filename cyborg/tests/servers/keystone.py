"""A private Keystone."""

import datetime
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from requests import Response

from cyborg.tests.servers.base import ServerError
from cyborg.tests.servers.wsgi_service import WsgiService

#: Of every user.
PASSWORD = "keystone-of-the-tests"  # noqa: S105 -- of a Keystone that lives for a test run
REGION = "RegionOne"

_DOMAIN = {"id": "default"}
_ADMIN = "admin"
_INTERFACES = ("public", "internal")
_PROJECTS = ("service", "demo", "other")
_ROLES = ("accelerator_user", "accelerator_admin")  # the others come with every Keystone
_IMPLIED = {"accelerator_admin": "accelerator_user"}
#: By user the project that is its own, and its roles there.
_USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    _ADMIN: ("admin", ()),  # bootstrapped
    "operator": ("admin", ("admin", "accelerator_admin")),
    "cyborg": ("service", ("admin", "service")),
    "nova": ("service", ("admin", "service")),
    "glance": ("service", ("admin", "service")),
    "placement": ("service", ("admin", "service")),
    "svc-only": ("service", ("service",)),
    "demo": ("demo", ("member",)),
    "demo-reader": ("demo", ("reader",)),
    "demo-manager": ("demo", ("manager", "member")),
    "demo-admin": ("demo", ("admin",)),
    "demo-accelerator-user": ("demo", ("accelerator_user",)),
    "demo-accelerator-admin": ("demo", ("accelerator_admin",)),
    "other": ("other", ("member",)),
    "other-manager": ("other", ("manager", "member")),
    "other-accelerator-admin": ("other", ("accelerator_admin",)),
}
#: What some have elsewhere, too.
_MORE = (("admin", "demo", "admin"), ("demo-admin", "admin", "admin"))


class Scope(StrEnum):
    """What a token can be for that is no project."""

    UNSCOPED = "unscoped"
    DOMAIN = "domain"
    SYSTEM = "system"


_SCOPES: dict[Scope, dict[str, Any]] = {
    Scope.UNSCOPED: {"unscoped": {}},
    Scope.DOMAIN: {"domain": _DOMAIN},
    Scope.SYSTEM: {"system": {"all": True}},
}


class Keystone(WsgiService):
    """Keystone with fernet tokens, bootstrapped by its first start.

    ``admin`` implies ``manager`` implies ``member`` implies ``reader``. Committed data survives
    ``kill()``, and so do tokens.
    """

    name = "keystone"
    title = "Keystone"
    program: ClassVar[str] = "keystone-manage"

    def __init__(self) -> None:
        super().__init__()
        self._ids: dict[tuple[str, str], str] = {}
        self._token = ""

    @property
    def url(self) -> str:
        """The URL that clients are given."""
        return f"http://127.0.0.1:{self.port}/v3"

    def provision(self) -> None:
        """Make the projects, roles and users of the tests, once."""
        for project in _PROJECTS:
            self._make("project", {"name": project, "domain_id": "default"})
        for role in _ROLES:
            self._make("role", {"name": role})
        for role, implied in _IMPLIED.items():
            path = f"/roles/{self._id('role', role)}/implies/{self._id('role', implied)}"
            self.ask("PUT", path)
        for user, (own, roles) in _USERS.items():
            project = self.project_id(own)
            body = {"name": user, "domain_id": "default", "default_project_id": project}
            if user != _ADMIN:
                self._make("user", body | {"password": PASSWORD})
            for role in roles:
                self._grant(user, own, role)
        for user, elsewhere, role in _MORE:
            self._grant(user, elsewhere, role)
        # Of the system it is the administrator since the bootstrap.
        domain = f"/domains/default/users/{self.user_id(_ADMIN)}"
        self.ask("PUT", f"{domain}/roles/{self._id('role', 'admin')}")

    def register(self, service_type: str, name: str, url: str) -> None:
        """Name a service's URL in the catalogue, instead of the one that may be there."""
        self.unregister(service_type)
        body = {"service": {"type": service_type, "name": name}}
        service = self.ask("POST", "/services", body).json()["service"]["id"]
        for interface in _INTERFACES:
            endpoint = {"service_id": service, "interface": interface, "url": url}
            self.ask("POST", "/endpoints", {"endpoint": endpoint | {"region_id": REGION}})

    def unregister(self, service_type: str) -> None:
        """Take a service out of the catalogue, if it is there."""
        found = self.ask("GET", f"/services?type={service_type}").json()["services"]
        for service in found:
            self.ask("DELETE", f"/services/{service['id']}")

    def catalogue(self) -> dict[str, str]:
        """Return the public URLs by type of service."""
        return {
            service["type"]: endpoint["url"]
            for service in self.ask("GET", "/auth/catalog").json()["catalog"]
            for endpoint in service["endpoints"]
            if endpoint["interface"] == "public"
        }

    def token(self, user: str, project: str | Scope | None = None) -> str:
        """Return a new token of a user for a project, by default for the user's own.

        :raises ServerError: the user has no role there.
        """
        password = {"user": {"name": user, "domain": _DOMAIN, "password": PASSWORD}}
        identity = {"methods": ["password"], "password": password}
        if isinstance(project, Scope):
            return self._new_token({"identity": identity, "scope": _SCOPES[project]})
        scope = {"project": {"name": project or _USERS[user][0], "domain": _DOMAIN}}
        return self._new_token({"identity": identity, "scope": scope})

    def expired_token(self, user: str) -> str:
        """Return a token of a user for the own project that was valid until now.

        It was an application credential's, whose life ends with the credential's.
        """
        token = {"X-Auth-Token": self.token(user)}
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
        credential = {"name": f"until {end}", "expires_at": f"{end:%Y-%m-%dT%H:%M:%S.%f}"}
        url = f"{self.url}/users/{self.user_id(user)}/application_credentials"
        answer = self._request(
            "POST", url, json={"application_credential": credential}, headers=token
        )
        made = self._expected(answer).json()["application_credential"]
        kept = {"id": made["id"], "secret": made["secret"]}
        identity = {"methods": ["application_credential"], "application_credential": kept}
        expired = self._new_token({"identity": identity})
        while datetime.datetime.now(datetime.UTC) <= end:
            time.sleep(0.05)
        return expired

    def revoke(self, token: str) -> None:
        """Make a token invalid before its time."""
        headers = {"X-Auth-Token": token, "X-Subject-Token": token}
        self._expected(self._request("DELETE", f"{self.url}/auth/tokens", headers=headers))

    def _new_token(self, auth: dict[str, Any]) -> str:
        answer = self._request("POST", f"{self.url}/auth/tokens", json={"auth": auth})
        return str(self._expected(answer).headers["X-Subject-Token"])

    def project_id(self, name: str) -> str:
        """Return a project's id."""
        return self._id("project", name)

    def user_id(self, name: str) -> str:
        """Return a user's id."""
        return self._id("user", name)

    def credentials(self, user: str, project: str | None = None) -> dict[str, str]:
        """Return what a configuration's section says to act as a user."""
        return {
            "auth_type": "password",
            "auth_url": self.url,
            "username": user,
            "password": PASSWORD,
            "project_name": project or _USERS[user][0],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Ask as the administrator.

        :raises ServerError: the answer is an error.
        """
        self._token = self._token or self.token(_ADMIN)
        identity = {"X-Auth-Token": self._token, **(headers or {})}
        return self._expected(self._request(method, self.url + path, json=body, headers=identity))

    def _expected(self, answer: Response) -> Response:
        if not answer.ok:
            asked = f"{answer.request.method} {answer.request.url}"
            raise ServerError(f"{asked} answered {answer.status_code} {answer.text}")
        return answer

    def _make(self, kind: str, body: dict[str, Any]) -> None:
        self.ask("POST", f"/{kind}s", {kind: body})

    def _grant(self, user: str, project: str, role: str) -> None:
        path = f"/projects/{self.project_id(project)}/users/{self.user_id(user)}"
        self.ask("PUT", f"{path}/roles/{self._id('role', role)}")

    def _id(self, kind: str, name: str) -> str:
        key = kind, name
        if key not in self._ids:
            # All at once; roles, projects and users are few.
            found = self.ask("GET", f"/{kind}s").json()[f"{kind}s"]
            self._ids |= {(kind, one["name"]): one["id"] for one in found}
        if key not in self._ids:
            raise ServerError(f"{self.title}: there is no {kind} {name}")
        return self._ids[key]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "OS_KEYSTONE_CONFIG_FILES": f"{self.folder}/keystone.conf",
            "OS_BOOTSTRAP_PASSWORD": PASSWORD,
            "OS_BOOTSTRAP_PUBLIC_URL": self.url,
            "OS_BOOTSTRAP_INTERNAL_URL": self.url,
            "OS_BOOTSTRAP_REGION_ID": REGION,
        }

    def _prepare(self) -> None:
        super()._prepare()
        self._ids, self._token = {}, ""
        folder = self.folder
        settings = [
            "[DEFAULT]",
            "default_log_levels = alembic=WARNING,stevedore=CRITICAL",
            "[database]",
            f"connection = sqlite:///{folder}/keystone.sqlite",
            "sqlite_synchronous = false",
            "[cache]",
            "enabled = true",
            "backend = oslo_cache.dict",
            "[token]",
            "expiration = 86400",  # longer than any test run
            "[fernet_tokens]",
            f"key_repository = {folder}/fernet-keys",
            "[credential]",
            f"key_repository = {folder}/credential-keys",
            "[identity]",
            "password_hash_rounds = 4",  # a password is checked in 1 ms, not in 200
        ]
        self._write("keystone.conf", settings)
