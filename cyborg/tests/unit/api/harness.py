"""The real application on a real SQLite file; the conductor and the authenticator stand in."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import webob
from keystoneauth1.plugin import BaseAuthPlugin
from oslo_config import cfg

from cyborg.db.database import Database
from cyborg.domain.model import AcceleratorRequest, Attribute, DeviceProfile, DeviceStatus

MINE = "a" * 32
OTHERS = "b" * 32
NOW = datetime.datetime(2026, 11, 22, 23, 45, 18, 339187, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Persona:
    """A caller as keystonemiddleware describes one."""

    roles: tuple[str, ...]
    project: str | None = MINE
    service_roles: tuple[str, ...] = ()
    system_scope: str | None = None

    def with_service_token(self, *roles: str) -> Persona:
        return Persona(self.roles, self.project, roles or ("service",), self.system_scope)

    def headers(self) -> dict[str, str]:
        values = {
            "X-Identity-Status": "Confirmed",
            "X-User-Id": "user",
            "X-Roles": ",".join(self.roles),
        }
        if self.project is not None:
            values["X-Project-Id"] = self.project
        if self.system_scope is not None:
            values["OpenStack-System-Scope"] = self.system_scope
        if self.service_roles:
            values["X-Service-Identity-Status"] = "Confirmed"
            values["X-Service-Roles"] = ",".join(self.service_roles)
        return values


ADMIN = Persona(("admin", "manager", "member", "reader"))
ADMIN_ELSEWHERE = Persona(ADMIN.roles, "c" * 32)
MANAGER = Persona(("manager", "member", "reader"))
MEMBER = Persona(("member", "reader"))
READER = Persona(("reader",))
USER = Persona(("accelerator_user", "reader"))
ACCELERATOR_ADMIN = Persona(("accelerator_admin", "accelerator_user", "reader"))
SERVICE = Persona(("service",))
OTHER_MEMBER = Persona(("member", "reader"), OTHERS)
OTHER_ACCELERATOR_ADMIN = Persona(ACCELERATOR_ADMIN.roles, OTHERS)
NOVA = MEMBER.with_service_token()
NOVA_FOR_ADMIN = ADMIN.with_service_token()
#: The conversations name it.
NO_ROLE = Persona(())
SYSTEM = Persona(("admin", "member", "reader"), None, system_scope="all")


class Believing:
    """In place of keystonemiddleware: believes the headers, and leaves what it leaves."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["keystone.token_auth"] = BaseAuthPlugin()
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


@dataclass
class RecordingConductor:
    """The process border: keeps each call, and answers or raises what it was told.

    ``unit/rpc/test_signatures`` sees to it that it has the client's signatures.
    """

    calls: list[tuple[str, Any]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    #: What each bind, unbind and delete said must not have changed.
    generations: list[Mapping[str, int] | None] = field(default_factory=list)
    #: What the last bind said of the owner.
    owner_is_certain: bool | None = None
    #: The instance that what the last delete named must still be of.
    of_instance: str | None = None

    def _answer(self, name: str, arguments: Any) -> Any:
        self.calls.append((name, arguments))
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def create_accelerator_requests(
        self, device_profile_name: str, project_id: str | None, by_service: bool = False
    ) -> list[AcceleratorRequest]:
        arguments = (device_profile_name, project_id, by_service)
        made = self._answer("create_accelerator_requests", arguments)
        return list(made or [])

    def bind(
        self,
        bindings: Mapping[str, Mapping[str, str]],
        owner_project_id: str | None,
        by_service: bool,
        generations: Mapping[str, int] | None = None,
        *,
        owner_is_certain: bool = True,
    ) -> None:
        self.generations.append(generations)
        self.owner_is_certain = owner_is_certain
        self._answer("bind", (dict(bindings), owner_project_id, by_service))

    def unbind(self, uuids: Sequence[str], generations: Mapping[str, int] | None = None) -> None:
        self.generations.append(generations)
        self._answer("unbind", list(uuids))

    def delete_accelerator_requests(
        self,
        uuids: Sequence[str],
        generations: Mapping[str, int] | None = None,
        *,
        instance_uuid: str | None = None,
    ) -> list[str]:
        self.generations.append(generations)
        self.of_instance = instance_uuid
        return self._answer("delete_accelerator_requests", list(uuids)) or []

    def create_device_profile(
        self, *, name: object, groups: object, description: str | None, uuid: str | None
    ) -> DeviceProfile:
        fields = {"name": name, "groups": groups, "description": description, "uuid": uuid}
        made: DeviceProfile = self._answer("create_device_profile", fields)
        return made

    def update_device_profile(self, uuid: str, changes: Mapping[str, object]) -> DeviceProfile:
        made: DeviceProfile = self._answer("update_device_profile", (uuid, dict(changes)))
        return made

    def delete_device_profiles(self, uuids: Sequence[str]) -> None:
        self._answer("delete_device_profiles", list(uuids))

    def set_device_status(self, uuid: str, status: DeviceStatus) -> None:
        self._answer("set_device_status", (uuid, status))

    def program(self, deployable: str, image_uuid: str, project_id: str | None) -> str:
        return str(self._answer("program", (deployable, image_uuid, project_id)))

    def create_attribute(self, deployable: int | str, key: str, value: str) -> Attribute:
        made: Attribute = self._answer("create_attribute", (deployable, key, value))
        return made

    def delete_attribute(self, uuid: str) -> None:
        self._answer("delete_attribute", uuid)


@dataclass
class Api:
    """The application with all its neighbours."""

    conf: cfg.ConfigOpts
    database: Database
    conductor: RecordingConductor
    application: Any

    def request(
        self,
        method: str,
        path: str,
        persona: Persona = ADMIN,
        *,
        body: object = None,
        raw: bytes | None = None,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
        environ: Mapping[str, Any] | None = None,
    ) -> webob.Response:
        request = webob.Request.blank(
            path, method=method, environ={"REMOTE_ADDR": "127.0.0.1", **(environ or {})}
        )
        request.headers.update(persona.headers())
        if version is not None:
            request.headers["OpenStack-API-Version"] = f"accelerator {version}"
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            request.body = raw
            request.content_type = "application/json"
        request.headers.update(headers or {})
        return request.get_response(self.application)

    def get(self, path: str, persona: Persona = ADMIN, **kw: Any) -> webob.Response:
        return self.request("GET", path, persona, **kw)

    @contextlib.contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect the SQL statements, transaction control not counted."""
        seen: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.startswith(("BEGIN", "PRAGMA")):
                seen.append(statement)

        engine = self.database.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)


def fault(response: webob.Response, *, coded: bool = False) -> dict[str, Any]:
    """Return the fault of an error, after checking its form.

    :param coded: it has a code, too: the request's version is 2.4 or higher.
    """
    assert response.content_type == "application/json"
    assert response.headers["x-openstack-request-id"].startswith("req-")
    outer = response.json
    assert list(outer) == ["error_message"]
    inner = json.loads(outer["error_message"])
    code = ["code"] * coded
    assert sorted(inner) == sorted([*code, "debuginfo", "faultcode", "faultstring"])
    assert inner["debuginfo"] is None
    assert inner["faultcode"] == ("Client" if response.status_int < 500 else "Server")
    return dict(inner)


def text_of(response: webob.Response) -> str:
    return str(fault(response)["faultstring"])
