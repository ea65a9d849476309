"""Calling and casting, and what to do while the message queue is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import oslo_messaging
from kombu import exceptions as kombu_exceptions
from oslo_log import log

from cyborg import threads
from cyborg.domain.errors import (
    CyborgError,
    ReleaseMismatch,
    RemoteError,
    ServiceUnavailable,
    TooLate,
)
from cyborg.rpc.liveness import PATIENCE, Patience
from cyborg.rpc.transport import EXPIRES_AT, current_context, get_client
from cyborg.rpc.wire import open_answer

LOG = log.getLogger(__name__)

#: Seconds to wait for an answer to the first message; that none came is as good as one.
PING_TIMEOUT = 1

#: Seconds between two tries to reach the queue, where it refuses.
RETRY_INTERVAL = 2.0

#: Seconds for which it is worth to ask once more.
SHORTEST_WAIT = 1.0

#: oslo.messaging wraps what fails while a message is sent, and not what fails before: nobody
#: listens, the password or the virtual host is wrong.
_QUEUE_ERRORS = (
    oslo_messaging.MessageDeliveryFailure,
    kombu_exceptions.KombuError,
    kombu_exceptions.ChannelError,
    kombu_exceptions.ConnectionError,
)

#: What oslo.messaging itself answers to a name or a version that no endpoint has.
_NOT_KNOWN = ("NoSuchMethod", "UnsupportedVersion")


class Deadlines(Protocol):
    """A clock that both sides of a call know: the database's."""

    def expires_at(self, seconds: float) -> str:
        """Return the time in so many seconds, or a moment sooner, in ISO format with its zone.

        :raises ServiceUnavailable: it is not known.
        """

    def forget(self) -> None:
        """Look at the clock once more: it goes otherwise than was thought."""


class Caller:
    """Calls a door and opens the answers. Fails fast, never hangs.

    oslo.messaging blocks for ever, whatever timeout it is given, as long as the queue has
    never been reached. So until one call in the background has got through to the queue,
    every other one is refused at once.
    """

    def __init__(
        self,
        transport: Any,
        door: Any,
        deadlines: Deadlines | None = None,
        *,
        listens: bool = False,
    ) -> None:
        """Make one that calls a door.

        :param deadlines: by what calls say when they are not waited for any more, if they do.
        :param listens: give calls up as soon as nobody lives who answers them.
        """
        self._client = get_client(transport, door, keep=PATIENCE if listens else None)
        self._deadlines = deadlines
        self._patience = Patience() if listens else None
        self._topic = door.topic
        self._reached = threading.Event()

    def connect(self) -> None:
        """Begin to reach the queue, in the background, for as long as it takes."""
        threads.serve("rpc-connect", self._reach, done=self._reached.is_set)

    def wait_until_reached(self, timeout: float) -> bool:
        """Wait until calls are worth making; return False if that did not come in time."""
        return self._reached.wait(timeout)

    def _reach(self) -> None:
        while not self._ping():
            self._reached.wait(RETRY_INTERVAL)
        self._reached.set()

    def _ping(self) -> bool:
        """Return whether the queue took a message, whoever answers it."""
        try:
            self._client.prepare(timeout=PING_TIMEOUT).call({}, "ping")
        except (oslo_messaging.MessagingTimeout, oslo_messaging.MessageUndeliverable):
            LOG.info("message queue reached topic=%s; nobody answers there yet", self._topic)
        except oslo_messaging.RemoteError:
            LOG.info("message queue reached topic=%s; who answers does not know us", self._topic)
        except Exception as error:  # a thread's outermost loop: without it no call is ever made
            LOG.warning(
                "message queue not reached topic=%s, trying again: %s: %s",
                self._topic,
                type(error).__name__,
                error,
            )
            return False
        return True

    def call(self, method: str, *, timeout: float, **arguments: Any) -> Any:
        """Call and return the result.

        Who did nothing because we might have left is asked once more: we have not.

        :param timeout: seconds; what is begun later is not done.
        :raises RemoteError: the other side refused, with its code and status.
        :raises ServiceUnavailable: the queue is not there, or no answer came in time.
        """
        if not self._reached.is_set():
            raise ServiceUnavailable("The message queue has not been reached yet; try again.")
        began = time.monotonic()
        try:
            return self._ask(method, timeout, arguments)
        except RemoteError as error:
            left = timeout - (time.monotonic() - began)
            if error.code != TooLate.code or left < SHORTEST_WAIT:
                raise
        return self._ask(method, left, arguments)

    def _ask(self, method: str, timeout: float, arguments: dict[str, Any]) -> Any:
        context = self._context(timeout)
        with _errors_of(self._topic):
            prepared = self._client.prepare(
                timeout=timeout, retry=0, call_monitor_timeout=self._patience
            )
            try:
                return open_answer(prepared.call(context, method, **arguments))
            except RemoteError as error:
                self._note(error)
                raise

    def _context(self, timeout: float) -> dict[str, Any]:
        context = current_context()
        if self._deadlines is not None:
            context[EXPIRES_AT] = self._deadlines.expires_at(timeout)
        return context

    def _note(self, error: RemoteError) -> None:
        if error.code == ReleaseMismatch.code:
            LOG.error("call not understood topic=%s: %s", self._topic, error)
        if error.code == TooLate.code and self._deadlines is not None:
            # We are still here. So it is the clock.
            self._deadlines.forget()


class Client:
    """The base of typed clients: one method a use case; one message each."""

    door: ClassVar[Any]
    #: Give calls up as soon as nobody lives who answers them.
    listens: ClassVar[bool] = False

    def __init__(
        self,
        transport: Any,
        timeout: Callable[[], float],
        caller: Caller | None = None,
        *,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Make a client that has not reached the queue yet.

        :param caller: what carries the calls, where it is not the message queue.
        :param deadlines: by what calls say when they are not waited for any more, if they do.
        """
        self._caller = caller or Caller(transport, self.door, deadlines, listens=self.listens)
        self._timeout = timeout
        self.connect = self._caller.connect
        self.wait_until_reached = self._caller.wait_until_reached

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._caller.call(method, timeout=self._timeout(), **arguments)


def cast(
    transport: Any, door: Any, method: str, *, keep: float | None = None, **arguments: Any
) -> None:
    """Send without waiting, and without an answer; may be lost.

    :param keep: seconds after which a queue drops it; by default it waits for ever.

    Unlike a call it needs no queue for an answer, which is what would block for ever.

    :raises ServiceUnavailable: the queue, or nobody who takes from it, is there.
    """
    with _errors_of(door.topic):
        client = get_client(transport, door, keep=keep)
        client.prepare(retry=0).cast(current_context(), method, **arguments)


@contextmanager
def _errors_of(topic: str) -> Iterator[None]:
    try:
        yield
    except oslo_messaging.MessageUndeliverable as error:
        raise ServiceUnavailable(f"No {topic} is there now; try again.") from error
    except oslo_messaging.MessagingTimeout as error:
        raise ServiceUnavailable(f"No {topic} answered in time; try again.") from error
    except oslo_messaging.RemoteError as error:
        raise _remote(topic, error) from error
    except _QUEUE_ERRORS as error:
        LOG.warning("message queue failed topic=%s: %s: %s", topic, type(error).__name__, error)
        raise ServiceUnavailable("The message queue is not available; try again.") from error


def _remote(topic: str, error: Any) -> RemoteError:
    if error.exc_type in _NOT_KNOWN:
        LOG.error("call not understood topic=%s: %s", topic, error.value)
        detail = f"The {topic} of another release does not know the call."
        return RemoteError(detail, ReleaseMismatch.code, ReleaseMismatch.http_status)
    # Something that the other side did not expect either: its log has it.
    LOG.error("remote failure topic=%s: %s", topic, error)
    return RemoteError("An unexpected error happened.", CyborgError.code, CyborgError.http_status)
