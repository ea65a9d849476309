"""What devices have from microversion 2.6 on: what their agent is at."""

from __future__ import annotations

import datetime

import pytest
import sqlalchemy as sa

from cyborg.db.tables import attach_handles, deployables, jobs
from cyborg.tests.unit.api.harness import Api
from cyborg.tests.unit.api.rows import DEVICE, DEVICE_OFF

V = "2.6"
SINCE = datetime.datetime(2026, 12, 1, 4, 5, 6, tzinfo=datetime.UTC)


def at_work(api: Api, **values: object) -> None:
    """Let an agent be at something, by default for the first device's first handle."""
    with api.database.engine.begin() as connection:
        handle = connection.scalar(
            sa.select(attach_handles.c.id)
            .join(deployables)
            .where(deployables.c.device_id == 1)
            .order_by(attach_handles.c.id)
            .limit(1)
        )
        number = connection.scalar(sa.select(sa.func.count()).select_from(jobs))
        row = {
            "uuid": f"77777777-7777-7777-7777-{number:012}",
            "kind": "release",
            "subject": f"arq/{number}",
            "host": "compute-1",
            "attach_handle_id": handle,
            "payload": "{}",
            "leased_until": SINCE,
            "created_at": SINCE,
            "step": "erase",
            "step_begun_at": SINCE,
            "percent": 42,
        }
        connection.execute(jobs.insert().values(**{**row, **values}))


def work(api: Api, uuid: str = DEVICE) -> object:
    shown = api.get(f"/v2/devices/{uuid}", version=V).json
    assert shown in api.get("/v2/devices", version=V).json["devices"]
    return shown["work"]


ERASE = {
    "kind": "release",
    "step": "erase",
    "since": "2026-12-01T04:05:06.000000+00:00",
    "percent": 42,
}


def test_nothing(api: Api) -> None:
    assert work(api) == work(api, DEVICE_OFF) == []


def test_what_an_agent_is_at(api: Api) -> None:
    at_work(api)
    at_work(api, step="wait", percent=None, step_begun_at=SINCE - datetime.timedelta(seconds=1))
    before = {"step": "wait", "percent": None, "since": "2026-12-01T04:05:05.000000+00:00"}
    assert work(api) == [{**ERASE, **before}, ERASE]
    assert work(api, DEVICE_OFF) == []


def test_what_waits_is_not_under_way(api: Api) -> None:
    at_work(api, step=None, step_begun_at=None, percent=None)
    assert work(api) == []


def test_programming_is_of_a_deployable(api: Api) -> None:
    with api.database.reader() as connection:
        uuid = connection.scalar(
            sa.select(deployables.c.uuid).where(deployables.c.device_id == 1).limit(1)
        )
    names = {"kind": "program", "step": "program"}
    at_work(api, **names, subject=f"deployable/{uuid}", attach_handle_id=None)
    assert work(api) == [{**ERASE, **names}]


@pytest.mark.parametrize("version", ["2.0", "2.4", "2.5"])
def test_there_is_none_before(api: Api, version: str) -> None:
    for path in (f"/v2/devices/{DEVICE}", "/v2/devices"):
        answer = api.get(path, version=version).json
        [old, *_] = answer.get("devices", [answer])
        assert "work" not in old
