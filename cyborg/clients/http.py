"""One other service over HTTP, authenticated by Keystone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from keystoneauth1 import exceptions, loading
from keystoneauth1.adapter import Adapter
from oslo_config import cfg
from oslo_context import context as oslo_context

from cyborg.domain.errors import ConfigurationError, ServiceUnavailable

#: Bytes of an answer; a tree of a thousand providers has a tenth of that.
MAX_ANSWER = 8 * 1024 * 1024

#: Bytes that are read at a time of what is large.
PART = 256 * 1024

#: Statuses that say that we, and not what was asked, are at fault.
_AT_FAULT = (401, 403, 406, 413, 429)

_REQUEST_ID = "X-OpenStack-Request-ID"

#: Else the adapter, which limits nothing by default, waits by the wall clock all the same: for an
#: hour, if that was put back an hour.
_AT_ANY_RATE: AbstractContextManager[None] = nullcontext()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service has answered, with a status below 500."""

    status: int
    body: Any
    text: str

    def error_code(self) -> str | None:
        """Return the stable code of an error, where the service has such."""
        try:
            code: str | None = self.body["errors"][0]["code"]
        except (TypeError, KeyError, IndexError):
            return None
        return code


def load_adapter(conf: cfg.ConfigOpts, group: str) -> Adapter | None:
    """Return what reaches the service of a group of options, None if the group is not set.

    Connects to nothing yet.

    :raises ConfigurationError: the group is set, but not as it must be.
    """
    if not (conf[group].auth_type or conf[group].auth_section):
        return None
    try:
        auth = loading.load_auth_from_conf_options(conf, group)
        session = loading.load_session_from_conf_options(conf, group)
        adapter: Adapter = loading.load_adapter_from_conf_options(
            conf, group, auth=auth, session=session
        )
    except (exceptions.ClientException, cfg.Error, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"[{group}] cannot be used: {reason}") from error
    return adapter


class NoAnswer(ServiceUnavailable):
    """Nothing came in time: whoever asks the same service waits as long."""


class BadAnswer(ServiceUnavailable):
    """It has answered, and not as it should. The next question may be about something else."""


class Service:
    """Asks one service. Whatever is not an answer of its own is ``ServiceUnavailable``."""

    def __init__(self, title: str, adapter: Adapter) -> None:
        self._title = title
        self._adapter = adapter

    def ask(
        self,
        method: str,
        path: str,
        *,
        version: str | None = None,
        body: object = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request and return the answer.

        :param path: a path below the service's endpoint, or a whole URL.
        :param version: the microversion, where the service has any.
        :param timeout: seconds, before the option's.
        :raises NoAnswer: nothing came in time.
        :raises BadAnswer: the service says that it is at fault, or says too much.
        :raises ServiceUnavailable: no connection, no token, no endpoint, or not our right.
        """
        extra: dict[str, Any] = {} if body is None else {"json": body}
        if timeout is not None:
            extra["timeout"] = timeout
        try:
            response = self._adapter.request(
                path,
                method,
                raise_exc=False,
                microversion=version,
                headers={"Accept": "application/json", **_request_id()},
                rate_semaphore=_AT_ANY_RATE,
                **extra,
            )
        except exceptions.ConnectTimeout as error:
            raise NoAnswer(f"{self._title}: {_one_line(error)}") from error
        except exceptions.ClientException as error:
            raise ServiceUnavailable(f"{self._title}: {_one_line(error)}") from error
        if len(response.content) > MAX_ANSWER:
            raise BadAnswer(f"{self._title}: its answer is too large")
        if response.status_code >= 500 or response.status_code in _AT_FAULT:
            raise self._refused(method, path, response)
        return Answer(response.status_code, _json(response), response.text)

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """GET something large, and return its parts as they come.

        :raises ServiceUnavailable: as with :meth:`ask`, also from the parts; and for any
            answer but 200.
        """
        try:
            response = self._adapter.get(
                path,
                raise_exc=False,
                stream=True,
                headers=_request_id(),
                rate_semaphore=_AT_ANY_RATE,
            )
        except exceptions.ClientException as error:
            raise ServiceUnavailable(f"{self._title}: {_one_line(error)}") from error
        with response:
            if response.status_code != 200:
                raise self._refused("GET", path, response)
            yield self._parts(response)

    def endpoint(self) -> str:
        """Return the service's URL as the catalogue, or the option, names it.

        :raises ServiceUnavailable: there is none, or Keystone cannot be asked.
        """
        try:
            url = self._adapter.get_endpoint(skip_discovery=True)
        except exceptions.ClientException as error:
            raise ServiceUnavailable(f"{self._title}: {_one_line(error)}") from error
        if not url:
            raise ServiceUnavailable(f"{self._title}: it has no endpoint in the catalogue")
        return str(url)

    def _parts(self, response: Any) -> Iterator[bytes]:
        try:
            # What requests raises is an OSError.
            yield from response.iter_content(PART)
        except OSError as error:
            raise ServiceUnavailable(f"{self._title}: {_one_line(error)}") from error

    def _refused(self, method: str, path: str, response: Any) -> ServiceUnavailable:
        kind = ServiceUnavailable if response.status_code in _AT_FAULT else BadAnswer
        return kind(
            f"{self._title}: {method} {path.partition('?')[0]} was answered "
            f"{response.status_code} {response.reason}"
        )

    def read(self, answer: Answer, reader: Callable[[Any], T]) -> T:
        """Return what ``reader`` makes of an answer's body.

        :raises BadAnswer: the body is not what it should be.
        """
        try:
            return reader(answer.body)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise self.unexpected(answer) from error

    def unexpected(self, answer: Answer) -> BadAnswer:
        """Return the error for an answer that should not be."""
        text = " ".join(answer.text.split())[:200]
        return BadAnswer(f"{self._title}: unexpected answer {answer.status}: {text}")


def _request_id() -> Mapping[str, str]:
    """Return the header that lets a request be followed into the other service's log."""
    current = oslo_context.get_current()
    if current is None:
        return {}
    request_id = current.global_request_id or current.request_id
    return {_REQUEST_ID: request_id} if request_id else {}


def _json(response: Any) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
