"""Calling and casting, and what to do while the message queue is not there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import oslo_messaging
from kombu import exceptions as kombu_exceptions
from oslo_log import log

from cyborg import threads
from cyborg.domain.errors import CyborgError, ReleaseMismatch, RemoteError, ServiceUnavailable
from cyborg.rpc.transport import current_context, get_client
from cyborg.rpc.wire import open_answer

LOG = log.getLogger(__name__)

#: Seconds to wait for an answer to the first message; that none came is as good as one.
PING_TIMEOUT = 1

#: Seconds between two tries to reach the queue, where it refuses.
RETRY_INTERVAL = 2.0

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


class Caller:
    """Calls a door and opens the answers. Fails fast, never hangs.

    oslo.messaging blocks for ever, whatever timeout it is given, as long as the queue has
    never been reached. So until one call in the background has got through to the queue,
    every other one is refused at once.
    """

    def __init__(self, transport: Any, door: Any) -> None:
        self._client = get_client(transport, door)
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

        :raises RemoteError: the other side refused, with its code and status.
        :raises ServiceUnavailable: the queue is not there, or no answer came in time.
        """
        if not self._reached.is_set():
            raise ServiceUnavailable("The message queue has not been reached yet; try again.")
        with _errors_of(self._topic):
            prepared = self._client.prepare(timeout=timeout, retry=0)
            try:
                return open_answer(prepared.call(current_context(), method, **arguments))
            except RemoteError as error:
                if error.code == ReleaseMismatch.code:
                    LOG.error("call not understood topic=%s: %s", self._topic, error)
                raise


class Client:
    """The base of typed clients: one method a use case; one message each."""

    door: ClassVar[Any]

    def __init__(
        self, transport: Any, timeout: Callable[[], float], caller: Caller | None = None
    ) -> None:
        """Make a client that has not reached the queue yet.

        :param caller: what carries the calls, where it is not the message queue.
        """
        self._caller = caller or Caller(transport, self.door)
        self._timeout = timeout
        self.connect = self._caller.connect
        self.wait_until_reached = self._caller.wait_until_reached

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._caller.call(method, timeout=self._timeout(), **arguments)


def cast(transport: Any, door: Any, method: str, **arguments: Any) -> None:
    """Send without waiting, and without an answer; may be lost.

    Unlike a call it needs no queue for an answer, which is what would block for ever.

    :raises ServiceUnavailable: the queue, or nobody who takes from it, is there.
    """
    with _errors_of(door.topic):
        get_client(transport, door).prepare(retry=0).cast(current_context(), method, **arguments)


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
