"""The API with real tokens in front of it, and a conductor on a database of two projects."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import webob
from oslo_config import cfg

from cyborg.api.app import build_application
from cyborg.clients.nova import load_nova
from cyborg.conductor.environment import Environment
from cyborg.conf import opts
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import metadata
from cyborg.domain import clock
from cyborg.domain.clock import provider_uuid
from cyborg.rpc.conductor import ConductorClient
from cyborg.tests.functional.in_process import InProcess
from cyborg.tests.functional.matrix.contents import CARD, KINDS, fill
from cyborg.tests.functional.matrix.table import Case, Persona
from cyborg.tests.helpers import HOST, RecordingAgents
from cyborg.tests.servers import Keystone
from cyborg.tests.servers.keystone import REGION, Scope

#: Whose projects there are, as the table calls them, and their names in Keystone.
OWNERS = {"mine": "demo", "others": "other", "services": "service"}

_PLACEHOLDER = re.compile("<([^<>]+)>")


class World:
    """The application in this process, and everything that requests can be about.

    What there is, and what the table calls it, is in :mod:`.contents`.
    """

    def __init__(self, folder: Path, keystone: Keystone, *, with_nova: bool = False) -> None:
        self.keystone = keystone
        self._file = folder / "cyborg.sqlite"
        self.conf = configuration(self._file, keystone, with_nova=with_nova)
        self.database = Database(self.conf)
        schema.upgrade(self.database.engine)
        self.env = Environment(
            self.conf,
            self.database,
            RecordingAgents(),
            clock.utcnow,
            clock.new_uuid,
            nova=load_nova(self.conf),
        )
        queue = InProcess(self.env)
        self._client = ConductorClient(None, lambda: 1.0, queue)
        self.application = build_application(self.conf, self.database, self._client)
        projects = {owner: keystone.project_id(name) for owner, name in OWNERS.items()}
        #: What the table calls things, and what they are.
        self.names = fill(self.env, projects)
        self.before = self.content()
        self._kept = sqlite3.connect(":memory:")
        with sqlite3.connect(self._file) as now:
            now.backup(self._kept)
        self._headers: dict[Persona, dict[str, str]] = {}

    def close(self) -> None:
        """Let the files go."""
        self._kept.close()
        self.database.dispose()

    @contextmanager
    def policy(self, file: Path) -> Iterator[None]:
        """Let the API go by an operator's policy file meanwhile."""
        before = self.application
        self.conf.set_override("policy_file", str(file), "oslo_policy")
        try:
            self.application = build_application(self.conf, self.database, self._client)
            yield
        finally:
            self.application = before
            self.conf.clear_override("policy_file", "oslo_policy")

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        version: str = "latest",
    ) -> webob.Response:
        """Send a request."""
        request = webob.Request.blank(path, method=method, headers=headers)
        request.headers["OpenStack-API-Version"] = f"accelerator {version}"
        if body is not None:
            request.body = json.dumps(body).encode()
            request.content_type = "application/json"
        return request.get_response(self.application)

    def try_case(self, case: Case, persona: Persona, path: str | None = None) -> webob.Response:
        """Send a case's request as a persona; to another path if there is one."""
        return self.ask(
            case.method,
            self.meant(case.path if path is None else path),
            self.headers(persona),
            self.body(case),
            case.request.get("version", "latest"),
        )

    def body(self, case: Case) -> object:
        """Return the body of a case's request."""
        values = self.meant(case.request.get("values", {}))
        if "bind" in case.request:
            binding = {
                "hostname": HOST,
                "device_rp_uuid": provider_uuid(CARD),
                "instance_uuid": self.names["new instance"],
                **values,
            }
            return self._patches(case.request["bind"], "add", binding)
        if "unbind" in case.request:
            return self._patches(
                case.request["unbind"], "remove", {"instance_uuid": None, **values}
            )
        return self.meant(case.request.get("body"))

    def _patches(self, names: list[str], op: str, values: Mapping[str, object]) -> object:
        patch = [{"op": op, "path": f"/{key}", "value": value} for key, value in values.items()]
        return {self.names[name]: patch for name in names}

    def meant(self, value: Any) -> Any:
        """Return a part of the table with the names replaced by what they mean."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda match: self.names[match[1]], value)
        if isinstance(value, list):
            return [self.meant(part) for part in value]
        if isinstance(value, dict):
            return {self.meant(key): self.meant(part) for key, part in value.items()}
        return value

    def headers(self, persona: Persona) -> dict[str, str]:
        """Return what a persona sends: tokens made once, and perhaps forged headers."""
        if persona not in self._headers:
            self._headers[persona] = self._new_headers(persona)
        return self._headers[persona]

    def _new_headers(self, persona: Persona) -> dict[str, str]:
        headers = dict(self.forged_headers()) if persona.forged else {}
        if persona.user is not None:
            headers["X-Auth-Token"] = self._token(persona, persona.user)
        if persona.service == "invented":
            headers["X-Service-Token"] = "invented"
        elif persona.service is not None:
            headers["X-Service-Token"] = self.keystone.token(persona.service)
        return headers

    def _token(self, persona: Persona, user: str) -> str:
        if persona.kind == "invented":
            return "invented"
        if persona.kind == "expired":
            return self.keystone.expired_token(user)
        token = self.keystone.token(user, persona.scope and Scope(persona.scope))
        if persona.kind == "revoked":
            self.keystone.revoke(token)
        return token

    def forged_headers(self) -> dict[str, str]:
        """Return everything that keystonemiddleware would say of an administrator."""
        user, project = self.keystone.user_id("admin"), self.names["mine.project"]
        roles = "admin,manager,member,reader,accelerator_admin,service"
        of_both = {
            "Identity-Status": "Confirmed",
            "User-Id": user,
            "User-Name": "admin",
            "User-Domain-Id": "default",
            "Project-Id": project,
            "Project-Name": "demo",
            "Project-Domain-Id": "default",
            "Roles": roles,
        }
        return {
            **{f"X-{name}": value for name, value in of_both.items()},
            **{f"X-Service-{name}": value for name, value in of_both.items()},
            "X-Tenant-Id": project,
            "X-Tenant": "demo",
            "X-User": "admin",
            "X-Role": roles,
            "X-Is-Admin-Project": "True",
        }

    def hidden_from(self, persona: Persona) -> dict[str, str]:
        """Return, by name, what a persona must not learn: of projects that are not theirs."""
        if persona.sees == "everybody":
            return {}
        foreign = tuple(f"{owner}." for owner in OWNERS if owner != persona.sees)
        return {name: value for name, value in self.names.items() if name.startswith(foreign)}

    def requests_of(self, owner: str) -> set[str]:
        """Return the accelerator requests of an owner, of ``everybody`` or of ``nobody``."""
        owners = OWNERS if owner == "everybody" else {owner}
        names = [f"{one}.{kind}" for one in owners for kind in KINDS]
        return {self.names[name] for name in names if name in self.names}

    def content(self) -> dict[str, list[Any]]:
        """Return everything that is in the database."""
        with sqlite3.connect(self._file) as connection:
            return {
                table: connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 -- our own tables
                for table in metadata.tables
            }

    def restore(self) -> None:
        """Let the database be as it was in the beginning."""
        with sqlite3.connect(self._file) as now:
            now.execute("PRAGMA synchronous = OFF")
            self._kept.backup(now)


def configuration(file: Path, keystone: Keystone, *, with_nova: bool) -> cfg.ConfigOpts:
    """Return a private configuration on an SQLite file, with tokens of a Keystone."""
    ours = keystone.credentials("cyborg")
    groups: dict[str, dict[str, object]] = {
        "DEFAULT": {"auth_strategy": "keystone"},
        "database": {"connection": f"sqlite:///{file}", "sqlite_synchronous": "false"},
        # How a programming ends is not the matrix's.
        "api": {"program_wait": 0},
        "keystone_authtoken": {**ours, "www_authenticate_uri": keystone.url},
        "nova": {**ours, "region_name": REGION, "timeout": 3} if with_nova else {},
    }
    lines = []
    for group, values in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in values.items())]
    path = file.with_suffix(".conf")
    path.write_text("\n".join(lines) + "\n")
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf(["--config-file", str(path)], project="cyborg", default_config_dirs=[])
    return conf
