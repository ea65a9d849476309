"""cyborg-manage audit: what it prints, its exit status, and its healing beside conductors."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import hosts, jobs
from cyborg.db.types import database_now
from cyborg.tests.functional.processes.cloud import HOSTS, Cloud, provider
from cyborg.tests.functional.processes.harness import COMMANDS, wait_for
from cyborg.tests.helpers import make_conf

SILENT = "host-silent: Host compute-1 has not been heard for 10000 s. [needs a person]"

#: What json says of the payload that :func:`write_job` writes.
WHY = "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"

_SECONDS = re.compile(r"\b10\d{3} s")


def audit(config: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMANDS / "cyborg-manage", "audit", f"--config-file={config}", "--pause=0.5", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Some pass until it looks.
    done.stdout = _SECONDS.sub("10000 s", done.stdout)
    return done


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database of our schema that is in the configuration file of ``tmp_path``."""
    url = f"sqlite:///{tmp_path}/cyborg.sqlite"
    (tmp_path / "cyborg.conf").write_text(f"[database]\nconnection = {url}\n")
    database = Database(make_conf(url))
    schema.upgrade(database.engine)
    yield database
    database.dispose()


def let_be_silent(database: Database) -> None:
    values = {"name": "compute-1", "created_at": database_now()}
    with database.engine.begin() as connection:
        connection.execute(hosts.insert().values(last_seen_at=database_now(-10_000), **values))


def write_job(database: Database) -> str:
    """Write a job that nothing is known of; return its uuid."""
    job = str(uuid.uuid4())
    values = {
        "uuid": job,
        "kind": "release",
        "subject": f"arq/{job}",
        "host": "compute-1",
        "payload": "not legible",
        "leased_until": database_now(30),
        "created_at": database_now(),
    }
    with database.engine.begin() as connection:
        connection.execute(jobs.insert().values(values))
    return job


def test_nothing_found(database: Database, tmp_path: Path) -> None:
    done = audit(tmp_path / "cyborg.conf")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "placement: not configured",
        "nova: not configured",
        "0 disagreements",
    ]


def test_what_is_found_is_a_line_each(database: Database, tmp_path: Path) -> None:
    let_be_silent(database)
    job = write_job(database)
    done = audit(tmp_path / "cyborg.conf")
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.splitlines() == [
        f"job-unreadable: Job {job} (release, arq/{job}) cannot be read: {WHY}. "
        "[--heal: the job is deleted, and begun anew if it is waited for]",
        SILENT,
        "placement: not configured",
        "nova: not configured",
        "2 disagreements",
    ]
    healed = audit(tmp_path / "cyborg.conf", "--heal")
    assert (healed.returncode, healed.stderr) == (2, "")
    assert healed.stdout.splitlines() == [
        f"healed job-unreadable: Job {job} (release, arq/{job}) cannot be read: {WHY}.",
        SILENT,
        "placement: not configured",
        "nova: not configured",
        "1 disagreement, 1 healed",
    ]


def test_what_is_found_is_one_document(database: Database, tmp_path: Path) -> None:
    """Its shape is in the administrator's guide."""
    let_be_silent(database)
    done = audit(tmp_path / "cyborg.conf", "--format", "json")
    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout) == {
        "version": 1,
        "parts": {
            "database": "looked at",
            "placement": "not configured",
            "nova": "not configured",
        },
        "heal": False,
        "healed": [],
        "disagreements": [
            {
                "kind": "host-silent",
                "about": "host",
                "which": "compute-1",
                "host": "compute-1",
                "words": "Host compute-1 has not been heard for 10000 s.",
                "remedy": None,
            }
        ],
    }


def test_healed_for_good_is_sound(database: Database, tmp_path: Path) -> None:
    let_be_silent(database)
    with database.engine.begin() as connection:
        connection.execute(hosts.update().values(last_seen_at=database_now()))
    write_job(database)
    done = audit(tmp_path / "cyborg.conf", "--heal", "--format=json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert ([each["kind"] for each in said["healed"]], said["disagreements"]) == (
        ["job-unreadable"],
        [],
    )


@pytest.mark.parametrize("group", ["placement", "nova"])
def test_who_does_not_answer_makes_another_status(
    database: Database, tmp_path: Path, group: str
) -> None:
    config = tmp_path / "cyborg.conf"
    # Nobody listens on the discard port.
    there = "auth_type = none\nendpoint_override = http://127.0.0.1:9\n"
    config.write_text(f"{config.read_text()}[{group}]\n{there}")
    if group == "placement":
        let_be_silent(database)
        with database.engine.begin() as connection:
            connection.execute(hosts.update().values(last_seen_at=database_now()))
        done = audit(config)
        assert (done.returncode, done.stderr) == (3, "")
        assert "placement: not looked at: Placement: " in done.stdout
    else:
        # Nobody has a server, so nobody is asked for one.
        done = audit(config)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-such-option"], "--no-such-option"),
        (["--format=xml"], "xml"),
        (["--pause=-1"], "pause"),
        (["--config-file=/no/such/file"], "/no/such/file"),
    ],
)
def test_a_wrong_option_is_one_line(
    database: Database, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = audit(tmp_path / "cyborg.conf", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("cyborg-manage audit: ")
    assert said in line


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ("", "[database]"),
        ("sqlite:////no/such/folder/c.sqlite", "the database cannot be read: "),
        ("sqlite:///{folder}/empty.sqlite", "run 'cyborg-dbsync upgrade'"),
        ("mysql+pymysql://cyborg@127.0.0.1:9/cyborg", "the database cannot be read: "),
    ],
)
def test_a_database_that_cannot_be_read_is_one_line(
    tmp_path: Path, connection: str, said: str
) -> None:
    config = tmp_path / "cyborg.conf"
    config.write_text(f"[database]\nconnection = {connection.format(folder=tmp_path)}\n")
    done = audit(config)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("cyborg-manage audit: ")
    assert said in line


def test_beside_conductors(cloud: Cloud) -> None:
    """Of a cloud at work nothing is said; what is broken is healed, and ends as if it had not."""
    cloud.serve(release_delay=1)
    nova = cloud.as_nova()
    config = cloud.ours.config("audit")
    server, _, answer = cloud.boot(nova)
    assert answer.status_code == 202
    cloud.land(server)
    cloud.finish(server)
    sound = audit(config)
    assert (sound.stdout, sound.stderr) == ("0 disagreements\n", "")
    engine = sa.create_engine(cloud.ours._settings["database"]["connection"])
    assert nova.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    with engine.begin() as connection:
        assert connection.execute(jobs.delete().where(jobs.c.kind == "release")).rowcount == 1
    cloud.placement.deallocate(server)
    cloud.placement.set_inventory(provider(HOSTS[1]), "FPGA", total=99)
    healed = json.loads(audit(config, "--heal", "--format=json").stdout)
    kinds = {each["kind"] for each in healed["healed"]}
    # The conductors compare Placement every two seconds here, and may have been faster.
    assert kinds - {"provider-differs"} == {"waiting-without-job"}
    assert healed["disagreements"] == []
    wait_for("the release", lambda: no_requests(engine))
    wait_for("Placement", lambda: cloud.reserved() == 0)
    engine.dispose()
    assert audit(config).returncode == 0


def no_requests(engine: sa.Engine) -> Any:
    query = sa.text("SELECT COUNT(*) FROM accelerator_requests")
    with engine.connect() as connection:
        return connection.scalar(query) == 0
