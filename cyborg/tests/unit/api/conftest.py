from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from oslo_context import context as oslo_context

from cyborg.api import app
from cyborg.conf import opts
from cyborg.db import tables
from cyborg.db.database import Database
from cyborg.tests.unit.api import rows
from cyborg.tests.unit.api.harness import Api, Believing, RecordingConductor


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    """A private configuration with a database file of its own."""
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([], project="cyborg", default_config_files=[], default_config_dirs=[])
    conf.set_override("connection", f"sqlite:///{tmp_path}/cyborg.sqlite", "database")
    # Nobody ends what is begun here.
    conf.set_override("program_wait", 0, "api")
    return conf


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled database file, made once."""
    path = tmp_path_factory.mktemp("api") / "template.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}")
    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        rows.fill(connection)
    engine.dispose()
    return path


@pytest.fixture
def database(conf: cfg.ConfigOpts, template: Path, tmp_path: Path) -> Iterator[Database]:
    """A filled database of the test's own."""
    shutil.copy(template, tmp_path / "cyborg.sqlite")
    database = Database(conf)
    yield database
    database.dispose()


@pytest.fixture
def conductor() -> RecordingConductor:
    return RecordingConductor()


@pytest.fixture
def api(
    conf: cfg.ConfigOpts,
    database: Database,
    conductor: RecordingConductor,
    monkeypatch: pytest.MonkeyPatch,
) -> Api:
    """The application; who asks is in the headers, as keystonemiddleware leaves them."""
    monkeypatch.setattr(
        app, "authenticated", lambda application, _conf, **_options: Believing(application)
    )
    return build(conf, database, conductor)


@pytest.fixture
def noauth_api(conf: cfg.ConfigOpts, database: Database, conductor: RecordingConductor) -> Api:
    """The application without Keystone."""
    conf.set_override("auth_strategy", "noauth")
    return build(conf, database, conductor)


@pytest.fixture(autouse=True)
def no_context_left() -> Iterable[None]:
    """A request's context must not outlive it."""
    yield
    assert oslo_context.get_current() is None


def build(conf: cfg.ConfigOpts, database: Database, conductor: Any) -> Api:
    return Api(conf, database, conductor, app.build_application(conf, database, conductor))
