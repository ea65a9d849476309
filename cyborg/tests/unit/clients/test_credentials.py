"""What is said of credentials, and when they are tried once more."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from keystoneauth1 import exceptions

from cyborg.clients.credentials import RETRY_INTERVAL, Trial, _try

URL = "http://placement/resource_providers"


def answers(status: int) -> Callable[[], tuple[str, int]]:
    return lambda: (URL, status)


def raises(error: Exception) -> Callable[[], tuple[str, int]]:
    def ask() -> tuple[str, int]:
        raise error

    return ask


@pytest.mark.parametrize(
    ("ask", "level", "settled"),
    [
        (answers(200), logging.INFO, True),
        (answers(404), logging.INFO, True),
        (answers(401), logging.ERROR, True),
        (answers(403), logging.ERROR, True),
        (answers(503), logging.WARNING, False),
        (raises(exceptions.Unauthorized("no such user")), logging.ERROR, True),
        (raises(exceptions.EndpointNotFound("no endpoint")), logging.ERROR, True),
        (raises(exceptions.ConnectFailure("refused")), logging.WARNING, False),
        (raises(exceptions.ConnectTimeout("late")), logging.WARNING, False),
        (raises(exceptions.DiscoveryFailure("no Keystone")), logging.WARNING, False),
    ],
)
def test_one_line(
    caplog: pytest.LogCaptureFixture,
    ask: Callable[[], tuple[str, int]],
    level: int,
    settled: bool,
) -> None:
    caplog.set_level(logging.INFO)
    assert Trial("placement", ask).settle() is settled
    (record,) = caplog.records
    assert record.levelno == level
    assert "section=[placement]" in record.getMessage()


def test_only_what_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    statuses = iter([503, 503, 200])
    away = Trial("nova", lambda: (URL, next(statuses)))
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    _try([away, Trial("placement", answers(401))], wait)
    assert waits == [RETRY_INTERVAL] * 2
    assert caplog.text.count("[placement]") == 1


def test_who_is_told_to_stop_does() -> None:
    _try([Trial("nova", answers(503))], lambda _seconds: True)


def test_a_trial_that_fails_otherwise_does_not_end_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    broken = Trial("nova", raises(RuntimeError("what nobody thought of")))
    _try([broken, Trial("placement", answers(200))], lambda _seconds: True)
    assert "what nobody thought of" in caplog.text
    assert "credentials are right section=[placement]" in caplog.text
