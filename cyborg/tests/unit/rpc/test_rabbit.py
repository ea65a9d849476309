"""What is logged where the message queue does not take an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cyborg.rpc import rabbit


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The logger of oslo.messaging's server, as :func:`cyborg.rpc.rabbit.adapt` leaves it."""
    logger = logging.getLogger("oslo_messaging.rpc.server")
    logger.addFilter(rabbit._in_one_line)
    yield logger
    logger.removeFilter(rabbit._in_one_line)


def logged(logger: logging.Logger, message: str) -> None:
    try:
        raise OSError("not 100 %\n taken")
    except OSError:
        logger.exception(message, 7)


def test_an_answer_that_is_not_taken_is_one_line(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logged(logger, "Can not send reply for message %s")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "message queue has not taken an answer: not 100 % taken"
    assert record.exc_info is None


def test_what_fails_unexpectedly_is_logged_whole(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logged(logger, "Exception during message handling of %s")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
