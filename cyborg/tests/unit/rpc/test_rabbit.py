"""What is logged where the message queue does not take an answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import oslo_messaging
import pytest
from oslo_messaging._drivers import common
from oslo_messaging._drivers.amqpdriver import AMQPDriverBase
from oslo_messaging._drivers.impl_rabbit import ConnectionLock

from cyborg.rpc import rabbit


@pytest.fixture(params=["oslo_messaging.rpc.server", "oslo_messaging._drivers.amqpdriver"])
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """A logger of oslo.messaging's, as :func:`cyborg.rpc.rabbit.adapt` leaves it."""
    logger = logging.getLogger(request.param)
    before = list(logger.filters)
    logger.filters.clear()
    rabbit.adapt(SimpleNamespace(_driver=AMQPDriverBase.__new__(AMQPDriverBase)))
    yield logger
    logger.filters[:] = before


def logged(logger: logging.Logger, message: str) -> None:
    try:
        raise OSError("not 100 %\n taken")
    except OSError:
        logger.exception(message, 7)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Can not send reply for message %s", "message queue has not taken an answer"),
        ("ignoring duplicate message %s", "message dropped, it has come before"),
    ],
)
def test_trouble_that_was_handled_is_one_line(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, message: str, words: str
) -> None:
    logged(logger, message)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"{words}: not 100 % taken"
    assert record.exc_info is None


def test_what_fails_unexpectedly_is_logged_whole(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logged(logger, "Exception during message handling of %s")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info


class Pool:
    """A pool of the driver's with one connection, which sends what it is told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.lock = ConnectionLock()
        self.items = [SimpleNamespace(_connection_lock=self.lock, topic_send=self._send)]

    def get(self, retry: int | None) -> Any:
        connection = self.items.pop()
        connection.max_retries = retry
        return connection

    def put(self, connection: Any) -> None:
        self.items.append(connection)

    def open(self) -> rabbit._Connection:
        return rabbit._Connection(self, common.PURPOSE_SEND, retry=None)

    def _send(self, **message: Any) -> None:
        with self.lock:
            self.sent.append(message)


def test_nobody_waits_for_a_connection_that_is_made_anew() -> None:
    pool = Pool()
    taken, over = threading.Event(), threading.Event()

    def connect_anew() -> None:
        with pool.lock.for_heartbeat():
            taken.set()
            over.wait(30)

    with pool.open() as connection:
        thread = threading.Thread(target=connect_anew)
        thread.start()
        taken.wait(30)
        began = time.monotonic()
        with pytest.raises(oslo_messaging.MessageDeliveryFailure):
            connection.topic_send(msg="one")
    # Giving it back has not waited either.
    assert rabbit.LOCK_PATIENCE <= time.monotonic() - began < rabbit.LOCK_PATIENCE + 5
    assert len(pool.items) == 1
    over.set()
    thread.join(30)
    with pool.open() as connection:
        connection.topic_send(msg="two")
    assert [each["msg"] for each in pool.sent] == ["two"]


def test_a_sender_that_waits_for_ever_does_not_let_others_wait() -> None:
    pool = Pool()
    with pool.open() as connection:
        assert connection.connection.max_retries == 0
