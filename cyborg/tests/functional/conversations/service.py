"""The service that a conversation is held with, and what its files may refer to."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from gabbi.fixture import GabbiFixture
from keystoneauth1.plugin import BaseAuthPlugin
from oslo_config import cfg
from pytest import MonkeyPatch

from cyborg.api import microversions
from cyborg.api.app import build_application
from cyborg.conductor.environment import Environment
from cyborg.conf.opts import MAX_BODY
from cyborg.db import schema
from cyborg.db.database import Database, ReadDatabase
from cyborg.db.tables import devices
from cyborg.domain import clock
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.model import DeviceCondition, Presence
from cyborg.rpc.conductor import ConductorClient
from cyborg.tests.functional.in_process import InProcess
from cyborg.tests.helpers import RecordingAgents, deployable, device, handles, make_conf, report
from cyborg.tests.unit.api import harness

HOSTS = ("compute-1", "compute-2")

#: In place of Keystone: who asks, by a header.
PERSONA = "HTTP_X_PERSONA"

#: What two filters are told here would else be told to the global configuration.
_PASTE = f"""\
[composite:main]
paste.composite_factory = {__name__}:by_prefix
/accelerator = api
/cors = cors_api

[pipeline:api]
pipeline = http_proxy_to_wsgi request_id personas api_v2

[pipeline:cors_api]
pipeline = cors request_id personas api_v2

[app:api_v2]
paste.app_factory = cyborg.api.app:app_factory

[filter:personas]
paste.filter_factory = {__name__}:personas

[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory

[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
oslo_config_project = cyborg
enable_proxy_headers_parsing = true

[filter:cors]
paste.filter_factory = oslo_middleware:CORS.factory
oslo_config_project = cyborg
allowed_origin = https://dashboard.example.org
"""

_template: Path | None = None


def by_prefix(loader: Any, global_conf: dict[str, str], **prefixes: str) -> Any:
    """Return the applications of some prefixes, and one for all else. Paths stay as they are."""
    applications = {prefix: loader.get_app(name) for prefix, name in prefixes.items()}
    at_root = loader.get_app("api")

    def choose(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target, path = at_root, environ["PATH_INFO"]
        for prefix, application in applications.items():
            if path.startswith(f"{prefix}/"):
                target = application
                environ["SCRIPT_NAME"] += prefix
                environ["PATH_INFO"] = path.removeprefix(prefix)
        answer: Iterable[bytes] = target(environ, start_response)
        return answer

    return choose


def personas(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Any]:
    """Return a filter that authenticates whoever is named; nobody, if nobody is."""

    def make(application: Any) -> Any:
        def authenticate(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            name = environ.pop(PERSONA, "nobody")
            if name != "nobody":
                persona: harness.Persona = getattr(harness, name.upper().replace("-", "_"))
                for header, value in persona.headers().items():
                    environ["HTTP_" + header.upper().replace("-", "_")] = value
                environ["keystone.token_auth"] = BaseAuthPlugin()
            answer: Iterable[bytes] = application(environ, start_response)
            return answer

        return authenticate

    return make


class Service(GabbiFixture):  # type: ignore[misc]  # gabbi has no types
    """The API and a conductor, on a database with the devices of two hosts."""

    #: The one that is being spoken to.
    application: Any = None

    def start_fixture(self) -> None:
        """Start it, and say in the environment what files may refer to."""
        self._folder = Path(tempfile.mkdtemp(prefix="cyborg-conversation-"))
        conf = make_conf(f"sqlite:///{self._folder}/cyborg.sqlite")
        (self._folder / "api-paste.ini").write_text(_PASTE)
        conf.set_override("api_paste_config", str(self._folder / "api-paste.ini"), "api")
        # There is no agent that could end a programming.
        conf.set_override("program_wait", 0, "api")
        self.configure(conf)
        shutil.copy(_migrated(), self._folder / "cyborg.sqlite")
        self._database = Database(conf)
        sa.event.listen(self._database.engine, "connect", _do_not_wait_for_the_disk)
        self._reading = ReadDatabase(conf)
        env = Environment(conf, self._database, RecordingAgents(), clock.utcnow, clock.new_uuid)
        _discover(env)
        self.happen(env)
        client = ConductorClient(None, lambda: 1.0, InProcess(env))
        Service.application = build_application(conf, self._reading, client)
        self._environment = MonkeyPatch()
        for name, value in _names().items():
            self._environment.setenv(name, value)

    def configure(self, conf: cfg.ConfigOpts) -> None:
        """Set what is otherwise than by default."""

    def happen(self, env: Environment) -> None:
        """Let something become of the devices."""

    def stop_fixture(self) -> None:
        """End it, and leave nothing behind."""
        Service.application = None
        self._environment.undo()
        self._database.dispose()
        self._reading.dispose()
        shutil.rmtree(self._folder)


class PublicService(Service):
    """The same, behind a public endpoint."""

    def configure(self, conf: cfg.ConfigOpts) -> None:
        """Set it."""
        conf.set_override("public_endpoint", "https://cloud.example.org/acc/", "api")


class AilingService(Service):
    """The same, with a card that has failed, one that is missing, and one that may be gone."""

    def happen(self, env: Environment) -> None:
        """Report the failure, and record the absences."""
        failed = device(
            "other",
            deployable(f"{HOSTS[1]}_FakeDevice", programmable=True),
            vendor="10de",
            condition=DeviceCondition.FAILED,
            condition_reason="It does not answer.",
        )
        report(env, failed, host=HOSTS[1])
        with env.database.engine.begin() as connection:
            for identity, presence in (("slow", Presence.MISSING), ("single", Presence.SUSPECT)):
                one = devices.update().where(devices.c.identity == identity)
                connection.execute(one.values(presence=presence))


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Pass a request to whichever service is running: gabbi wants it before there is one."""
    # Else the client's address is that of nobody.
    environ.setdefault("REMOTE_ADDR", "127.0.0.1")
    answer: Iterable[bytes] = Service.application(environ, start_response)
    return answer


def _do_not_wait_for_the_disk(connection: Any, _record: object) -> None:
    """Nothing of this database is there after its conversation. It is most of the time."""
    connection.execute("PRAGMA synchronous = OFF")


def _migrated() -> Path:
    """Return a database with our schema and no rows, made once."""
    global _template  # noqa: PLW0603 -- as a fixture of the session would
    if _template is None:
        folder = Path(tempfile.mkdtemp(prefix="cyborg-template-"))
        atexit.register(shutil.rmtree, folder)
        _template = folder / "cyborg.sqlite"
        database = Database(make_conf(f"sqlite:///{_template}"))
        schema.upgrade(database.engine)
        database.dispose()
    return _template


def _discover(env: Environment) -> None:
    """Report a plain card, one that takes an agent's work, and one with a single handle; in
    the other host one that can be programmed.
    """
    # The order in which they are found is that of their addresses.
    plain = deployable(f"{HOSTS[0]}_FakeDevice", handles=handles(16, "0c"))
    slow = deployable(
        f"{HOSTS[0]}_slow",
        4,
        resource_class="PGPU",
        needs_prepare=True,
        traits=("CUSTOM_SLOW",),
        handles=handles(4, "0d"),
    )
    single = deployable(
        f"{HOSTS[0]}_single", 1, resource_class="CUSTOM_QAT", traits=(), handles=handles(1, "0e")
    )
    report(
        env,
        device("plain", plain, std_board_info={"product_id": "1"}),
        device("slow", slow, type="GPU", vendor="10de"),
        device("single", single, type="QAT", vendor="8086"),
        host=HOSTS[0],
    )
    other = deployable(f"{HOSTS[1]}_FakeDevice", programmable=True)
    report(env, device("other", other, vendor="10de"), host=HOSTS[1])


def _names() -> dict[str, str]:
    major, minor = microversions.MAXIMUM
    return {
        "MINIMUM": microversions.text(microversions.MINIMUM),
        "MAXIMUM": microversions.text(microversions.MAXIMUM),
        "TOO_HIGH": f"{major}.{minor + 1}",
        "PLAIN": provider_uuid(f"{HOSTS[0]}_FakeDevice"),
        "SLOW": provider_uuid(f"{HOSTS[0]}_slow"),
        "SINGLE": provider_uuid(f"{HOSTS[0]}_single"),
        "OTHER_HOST": provider_uuid(f"{HOSTS[1]}_FakeDevice"),
        "MINE": harness.MINE,
        "OTHERS": harness.OTHERS,
        "INSTANCE": new_uuid(),
        "OTHER_INSTANCE": new_uuid(),
        "SLOW_INSTANCE": new_uuid(),
        "UNKNOWN": new_uuid(),
        "UNKNOWN_TOO": new_uuid(),
        "TOO_LARGE": "x" * (MAX_BODY + 1),
        "NAME_255": "n" * 255,
        "NAME_256": "n" * 256,
    }
