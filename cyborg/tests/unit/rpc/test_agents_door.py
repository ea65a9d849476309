"""What an agent says to conductors of this release and of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cyborg.domain.errors import ReleaseMismatch, RemoteError
from cyborg.rpc.agents_door import AgentsDoorClient
from cyborg.rpc.caller import Caller
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import open_answer


class Straight(Caller):
    """Carries calls to a use case, without a queue between."""

    def __init__(self, finish_job: Callable[..., None]) -> None:
        self._endpoint = TableEndpoint({"finish_job": finish_job})

    def call(self, method: str, *, timeout: float, **arguments: Any) -> Any:
        return open_answer(getattr(self._endpoint, method)({}, **arguments))


def client_of(finish_job: Callable[..., None]) -> AgentsDoorClient:
    return AgentsDoorClient(None, lambda: 1.0, Straight(finish_job))


def test_a_conductor_of_the_release_before_takes_what_it_knows() -> None:
    told = []

    def finish_job(host: str, uuid: str, generation: int, error: str | None) -> None:
        told.append((host, uuid, generation, error))

    client = client_of(finish_job)
    client.finish_job("compute-1", "job-1", 2, None)
    client.finish_job("compute-1", "job-2", 3, "the card is hot")
    assert told == [("compute-1", "job-1", 2, None), ("compute-1", "job-2", 3, "the card is hot")]
    # Not taken for a failure, which would quarantine the handle: it is asked for again.
    with pytest.raises(RemoteError) as caught:
        client.finish_job("compute-1", "job-3", 4, "the card is gone", away=True)
    assert caught.value.code == ReleaseMismatch.code
    assert len(told) == 2


def test_away_is_said() -> None:
    told = []

    def finish_job(
        host: str, uuid: str, generation: int, error: str | None, *, away: bool = False
    ) -> None:
        told.append((error, away))

    client = client_of(finish_job)
    client.finish_job("compute-1", "job-1", 2, "the card is gone", away=True)
    client.finish_job("compute-1", "job-1", 2, "the card is hot")
    assert told == [("the card is gone", True), ("the card is hot", False)]


def test_that_it_was_not_begun_is_said() -> None:
    told = []

    def finish_job(
        host: str, uuid: str, generation: int, error: str | None, *, not_begun: bool = False
    ) -> None:
        told.append((error, not_begun))

    client = client_of(finish_job)
    client.finish_job("compute-1", "job-1", 2, "the disk is full", not_begun=True)
    client.finish_job("compute-1", "job-1", 2, "the card is hot")
    assert told == [("the disk is full", True), ("the card is hot", False)]
