"""What we want of oslo.messaging's RabbitMQ driver beyond what it has.

A message waits in a queue no longer than it is of use, also one that wants no answer. And a broker
that says no to a consumer that was there before is tried again after a pause: the driver takes
no for an end, and its threads then ask again without one. Who was away for a moment is answered
again at once. And whoever waits for an answer leaves when its process has heard nothing for a
while, see :mod:`cyborg.rpc.liveness`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import oslo_messaging
from oslo_log import log
from oslo_messaging._drivers import common
from oslo_messaging._drivers.amqpdriver import (
    AMQPDriverBase,
    ObsoleteReplyQueuesCache,
    ReplyWaiters,
)
from oslo_messaging._drivers.impl_rabbit import ConnectionLock

from cyborg.rpc.liveness import PATIENCE

LOG = log.getLogger(__name__)

#: Seconds between two tries to take messages, where the queue refuses.
RETRY_INTERVAL = 2.0

#: Seconds that a sender waits for a connection that its own thread is connecting anew.
LOCK_PATIENCE = 1.0

_NOT_TAKEN = "message queue has not taken an answer"

#: Begins of what oslo.messaging logs with a traceback though it is no error of its own; and our
#: words for it. A message comes again where the queue does not know that it was taken.
_IN_ONE_LINE = {
    "Can not send reply": _NOT_TAKEN,
    "Can not acknowledge": _NOT_TAKEN,
    "MessageUndeliverable error": _NOT_TAKEN,
    "ignoring duplicate message": "message dropped, it has come before",
}
_LOGGERS = ("oslo_messaging.rpc.server", "oslo_messaging._drivers.amqpdriver")

#: Begins of what the driver logs and raises: who catches it logs it as well, with more.
_SAID_TWICE = ("Unable to connect to AMQP server on", "Failed to consume message", "Failed to publ")


class Options(oslo_messaging.TransportOptions):  # type: ignore[misc]  # untyped
    """How a message is sent: somebody must be there to take it, and in time."""

    def __init__(self, keep: float | None = None) -> None:
        """Make options.

        :param keep: seconds after which the broker drops what nobody has taken; None: as many
            as an answer is waited for.
        """
        super().__init__(at_least_once=True)
        self.keep = keep


class _Connection(common.ConnectionContext):  # type: ignore[misc]  # untyped
    """A connection of the driver's, for sending or for consuming.

    Each that is for sending has a thread that keeps the broker informed, and connects anew where it
    is gone. While that thread does, whoever has taken the connection from the pool cannot send.
    """

    connection: Any

    def __init__(self, pool: Any, purpose: str, retry: Any = None) -> None:
        super().__init__(pool, purpose, retry)
        if self.pooled:
            # Who was first to send may have been ready to wait for ever.
            self.connection.max_retries = 0
            lock = self.connection._connection_lock
            lock.acquire = partial(_acquire_in_time, lock)

    def _done(self) -> None:
        """Give it back. It has only sent: there is nothing to reset, for which one would wait."""
        if self.connection is None or not self.pooled:
            super()._done()
            return
        connection, self.connection = self.connection, None
        self.connection_pool.put(connection)

    def topic_send(
        self, *, timeout: float | None = None, transport_options: Any = None, **message: Any
    ) -> None:
        """Send a message; the driver's ``timeout`` is how long a queue keeps it."""
        keep = getattr(transport_options, "keep", None)
        self.connection.topic_send(
            timeout=timeout if keep is None else keep,
            transport_options=transport_options,
            **message,
        )

    def consume(self, timeout: float | None = None) -> None:
        """Take messages, or wait a moment where the broker says no. It may say yes later."""
        try:
            self.connection.consume(timeout=timeout)
        except common.Timeout:
            raise
        except Exception as error:  # a library's outermost loop: it would go on without a pause
            reason = " ".join(str(error).split())
            LOG.warning("message queue lost, trying again: %s", reason)
            time.sleep(RETRY_INTERVAL)
            raise common.Timeout from error


def _acquire_in_time(lock: ConnectionLock) -> None:
    """Take a connection for sending, or give it up if it is being made anew for a while.

    :raises oslo_messaging.MessageDeliveryFailure: so it is; nothing was sent.
    """
    end = time.monotonic() + LOCK_PATIENCE
    with lock._monitor:
        while lock._lock_acquired:
            left = end - time.monotonic()
            if left <= 0:
                raise oslo_messaging.MessageDeliveryFailure("the connection is being made anew")
            lock._workers_waiting += 1
            lock._workers_locks.wait(left)
            lock._workers_waiting -= 1
        lock._lock_acquired = lock._get_thread_id()


class _Absent(ObsoleteReplyQueuesCache):  # type: ignore[misc]  # untyped
    """The queues of answers that were not there for as long as an answer is tried to be sent.

    Answers to them are dropped meanwhile, so that all who try to send one see it. The driver does
    that for a minute, though an outage of the queue is what they may be absent for: who is first to
    have a connection again is heard by nobody, and then would hear from nobody.
    """

    TTL = 2


class Waiters(ReplyWaiters):  # type: ignore[misc]  # untyped
    """Those of a process that wait for answers, in the driver's table."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        #: When anything was heard from anybody who is called.
        self._heard = monotonic()

    def put(self, msg_id: str, message_data: Any) -> None:
        """Pass on what has come, and note that it has."""
        self._heard = self._monotonic()
        super().put(msg_id, message_data)

    def get(self, msg_id: str, timeout: float) -> Any:
        """Wait for what comes, for so long, or until nothing was heard for :data:`PATIENCE`.

        :raises oslo_messaging.MessagingTimeout: nothing has come.
        """
        began = self._monotonic()
        end = began + timeout
        while True:
            until = min(end, max(began, self._heard) + PATIENCE)
            left = until - self._monotonic()
            try:
                return super().get(msg_id, max(0.0, left))
            except oslo_messaging.MessagingTimeout:
                if left <= 0:
                    raise


def adapt(transport: Any) -> None:
    """Let a transport be as we want it. One that is none of RabbitMQ stays as it is."""
    driver = transport._driver
    if isinstance(driver, AMQPDriverBase):
        driver._get_connection = partial(_connection, driver)
        driver.listen = partial(_listen, driver.listen)
        driver._get_reply_q = partial(_reply_queue, driver, driver._get_reply_q, threading.Lock())
        logging.getLogger("oslo.messaging._drivers.impl_rabbit").addFilter(_said_once)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_in_one_line)


def _connection(driver: Any, purpose: str = common.PURPOSE_SEND, retry: Any = None) -> _Connection:
    return _Connection(driver._connection_pool, purpose=purpose, retry=retry)


def _listen(listen: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    listener = listen(*arguments, **named)
    listener._poll_style_listener._obsolete_reply_queues = _Absent()
    return listener


def _reply_queue(driver: Any, made: Callable[[], str], lock: threading.Lock) -> str:
    """Return the queue of answers; whoever is first makes it, and the table of those who wait."""
    with lock:
        queue = made()
        if not isinstance(driver._waiter.waiters, Waiters):
            driver._waiter.waiters = Waiters()
    return queue


def _said_once(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_SAID_TWICE)


def _in_one_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    words = next(
        (ours for begin, ours in _IN_ONE_LINE.items() if str(record.msg).startswith(begin)), None
    )
    if error is not None and words is not None:
        record.msg = f"{words}: {' '.join(str(error).split())}"
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True
