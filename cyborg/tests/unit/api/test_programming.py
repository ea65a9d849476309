"""Programming over HTTP: the wire, and waiting for the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cyborg.api.v2.programming import LONGEST, MOST_WAITING, Waiter
from cyborg.db.database import Database
from cyborg.db.tables import deployables
from cyborg.domain.errors import (
    DeployableInUse,
    NotProgrammed,
    ProgrammingFailed,
    RemoteError,
    ServiceUnavailable,
)
from cyborg.domain.model import ProgrammingState
from cyborg.tests.unit.api.harness import ACCELERATOR_ADMIN, MEMBER, MINE, Api, fault, text_of
from cyborg.tests.unit.api.rows import DEPLOYABLE, UNKNOWN

IMAGE = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
JOB = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
BODY = [{"path": "/program", "op": "replace", "value": [{"image_uuid": IMAGE}]}]
PATH = f"/v2/deployables/{DEPLOYABLE}/program"
STATE = ProgrammingState


def record(database: Database, **values: Any) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            deployables.update().where(deployables.c.uuid == DEPLOYABLE).values(values)
        )


def program(api: Api, path: str = PATH, **values: Any) -> Any:
    return api.request("PATCH", path, **{"persona": ACCELERATOR_ADMIN, "body": BODY, **values})


@pytest.mark.parametrize("suffix", ["", "/", f"/{DEPLOYABLE}", "/anything"])
@pytest.mark.parametrize("prefix", ["/v2", ""])
def test_it_is_answered_with_the_deployable(api: Api, prefix: str, suffix: str) -> None:
    api.conductor.answers["program"] = JOB
    response = program(api, f"{prefix}/deployables/{DEPLOYABLE}/program{suffix}")
    assert response.status_int == 200
    assert response.json == api.get(f"/v2/deployables/{DEPLOYABLE}").json
    assert api.conductor.calls == [("program", (DEPLOYABLE, IMAGE, MINE))]


def test_the_answer_shows_what_it_holds_at_the_end(api: Api, database: Database) -> None:
    api.conf.set_override("program_wait", 30, "api")
    api.conductor.answers["program"] = JOB
    record(
        database,
        programming_job=JOB,
        programming_state=STATE.PROGRAMMED,
        bitstream_id=IMAGE,
    )
    assert program(api).json["bitstream_id"] == IMAGE


@pytest.mark.parametrize(("unknown", "status"), [(False, 409), (True, 502)])
def test_a_failure_is_answered(api: Api, database: Database, unknown: bool, status: int) -> None:
    api.conf.set_override("program_wait", 30, "api")
    api.conductor.answers["program"] = JOB
    record(
        database,
        programming_job=JOB,
        programming_state=STATE.FAILED,
        programming_reason="the card is stuck",
        content_unknown=unknown,
    )
    response = program(api)
    assert response.status_int == status
    assert "the card is stuck" in text_of(response)


def test_what_the_conductor_refuses(api: Api) -> None:
    error = DeployableInUse("held")
    api.conductor.answers["program"] = RemoteError(error.detail, error.code, error.http_status)
    response = program(api)
    assert (response.status_int, text_of(response)) == (409, "held")


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("/v2/deployables/x/program", {}, 400),
        (f"/v2/deployables/{UNKNOWN}/program", {}, 404),
        (f"/v2/deployables/{UNKNOWN}/program", {"persona": MEMBER}, 403),
        (PATH, {"persona": MEMBER}, 403),
        (PATH, {"body": []}, 400),
        (PATH, {"body": None}, 400),
        (PATH, {"raw": b"{"}, 400),
        (PATH, {"headers": {"Content-Type": "text/plain"}}, 415),
        (f"{PATH}?x=1", {}, 400),
        (f"/v2/deployables/{DEPLOYABLE}", {}, 405),
        ("/v2/deployables", {}, 404),
        (f"{PATH}/a/b", {}, 404),
    ],
)
def test_mistakes(api: Api, path: str, values: dict[str, Any], status: int) -> None:
    response = program(api, path, **values)
    assert response.status_int == status
    fault(response)
    assert api.conductor.calls == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/x"])
def test_no_other_method(api: Api, method: str, path: str) -> None:
    response = api.request(method, path)
    assert (response.status_int, response.headers["Allow"]) == (405, "PATCH")


def test_cost(api: Api) -> None:
    api.conductor.answers["program"] = JOB
    with api.statements() as statements:
        program(api)
    assert len(statements) == 3, statements


class Time:
    """A clock that moves when somebody sleeps; then things happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.then: dict[int, Callable[[], object]] = {}

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.then.pop(len(self.slept), lambda: None)()


class TestWaiter:
    @pytest.fixture
    def time(self) -> Time:
        return Time()

    @pytest.fixture
    def waiter(self, database: Database, time: Time) -> Waiter:
        record(database, programming_job=JOB, programming_state=STATE.PROGRAMMING)
        return Waiter(database, time.clock, time.sleep)

    def test_until_it_has_succeeded(self, waiter: Waiter, time: Time, database: Database) -> None:
        time.then[5] = lambda: record(database, programming_state=STATE.PROGRAMMED)
        waiter.wait(DEPLOYABLE, JOB, 60)
        assert len(time.slept) == 5
        assert time.slept == sorted(time.slept)

    @pytest.mark.parametrize(
        ("unknown", "error"), [(False, NotProgrammed), (True, ProgrammingFailed)]
    )
    def test_until_it_has_failed(
        self,
        waiter: Waiter,
        time: Time,
        database: Database,
        unknown: bool,
        error: type[Exception],
    ) -> None:
        time.then[3] = lambda: record(
            database,
            programming_state=STATE.FAILED,
            programming_reason="stuck",
            content_unknown=unknown,
        )
        with pytest.raises(error, match="stuck"):
            waiter.wait(DEPLOYABLE, JOB, 60)

    def test_no_longer_than_told(self, waiter: Waiter, time: Time) -> None:
        waiter.wait(DEPLOYABLE, JOB, 7.5)
        assert time.now == 7.5
        assert max(time.slept) == LONGEST
        waiter.wait(DEPLOYABLE, JOB, 0)
        assert time.now == 7.5

    def test_another_has_begun_since(self, waiter: Waiter, time: Time, database: Database) -> None:
        time.then[2] = lambda: record(database, programming_job=UNKNOWN)
        waiter.wait(DEPLOYABLE, JOB, 60)
        assert len(time.slept) == 2

    def test_the_deployable_is_gone(self, waiter: Waiter, time: Time) -> None:
        waiter.wait(UNKNOWN, JOB, 60)
        assert len(time.slept) == 1

    def test_a_database_that_is_away_for_a_while(self, time: Time) -> None:
        class Away(Database):
            def __init__(self) -> None:
                """Open nothing."""

            def reader(self) -> Any:
                raise ServiceUnavailable("away")

        Waiter(Away(), time.clock, time.sleep).wait(DEPLOYABLE, JOB, 10)
        assert time.now == 10

    def test_not_too_many_at_once(self, waiter: Waiter, time: Time) -> None:
        """Each begins while the one before it sleeps; the last finds no room."""
        waited: list[bool] = []

        def another() -> None:
            began = time.now
            waiter.wait(DEPLOYABLE, JOB, 1)
            waited.append(time.now > began)

        time.then = dict.fromkeys(range(1, MOST_WAITING + 1), another)
        another()
        assert waited == [False, *[True] * MOST_WAITING]
