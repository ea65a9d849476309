"""Errors on the wire: the one place where an exception becomes a response.

Every fault is ``{"error_message": "<JSON text>"}``, where the text is WSME's fault with
``faultcode``, ``faultstring`` and ``debuginfo``; deployed clients look for exactly that. From
microversion 2.4 on it has a stable ``code``, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import webob
from keystoneauth1.exceptions import ClientException
from oslo_log import log
from oslo_middleware import request_id
from webob.util import status_reasons

from cyborg.api import microversions
from cyborg.domain.errors import CyborgError, ServiceUnavailable

LOG = log.getLogger(__name__)

#: Headers for whatever the answer turns out to be, left in the environ by a handler.
HEADERS_KEY = "cyborg.response_headers"

_VERSION_KEY = f"HTTP_{microversions.HEADER.upper().replace('-', '_')}"

#: Seconds after which a caller may try again when something was not there.
RETRY_AFTER = "2"

#: Left in the environ by whichever of several has answered: its words stay.
_ANSWERED = "cyborg.fault_answered"

_KEPT = ("Retry-After", "Allow")


class MethodNotAllowed(CyborgError):
    """The path exists, but not with this method."""

    code = "cyborg.method_not_allowed"
    http_status = 405

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"The method is not allowed here; these are: {self.allowed}.")


class Unauthenticated(CyborgError):
    """Nobody has been authenticated, where somebody must be."""

    code = "cyborg.unauthenticated"
    http_status = 401


class UnsupportedMediaType(CyborgError):
    """A body that is not declared to be JSON."""

    code = "cyborg.unsupported_media_type"
    http_status = 415


class RequestTooLarge(CyborgError):
    """The body is larger than ``[oslo_middleware] max_request_body_size``."""

    code = "cyborg.request_too_large"
    http_status = 413


#: Of what libraries refuse before it reaches us.
_FOREIGN = {error.http_status: error.code for error in (RequestTooLarge, UnsupportedMediaType)}


class Faults:
    """Middleware: answers whatever is raised further in, and reshapes foreign errors.

    The 401 of keystonemiddleware stays as it is: clients know it in that form. So does what
    another one of these has answered further in.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = webob.Request(environ)
        try:
            response = request.get_response(self._application)
        except CyborgError as error:
            response = _expected(error, environ)
        except ClientException as error:
            # Of the middleware that asks Keystone: it expects only some of what its session raises.
            LOG.warning("token not looked at: %s: %s", type(error).__name__, error)
            response = _expected(ServiceUnavailable("Keystone is away; try again."), environ)
        except Exception:  # Nothing further out could answer with the request's id.
            LOG.exception("unexpected error method=%s path=%s", request.method, request.path)
            response = _unexpected(environ)
        else:
            foreign = response.status_int >= 400 and _ANSWERED not in environ
            if foreign and response.status_int != 401:
                response = _foreign(response, environ)
        if response.status_int >= 400:
            environ[_ANSWERED] = True
        response.headers.update(environ.get(HEADERS_KEY, {}))
        answer: Iterable[bytes] = response(environ, start_response)
        return answer


def _expected(error: CyborgError, environ: Mapping[str, Any]) -> webob.Response:
    if error.http_status == 500:
        LOG.error("internal error code=%s: %s", error.code, error.detail, exc_info=error)
        return _unexpected(environ)
    headers = {}
    if error.http_status == 503:
        LOG.warning("unavailable code=%s: %s", error.code, error.detail)
        headers["Retry-After"] = RETRY_AFTER
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allowed
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Keystone"
    return _fault(environ, error.http_status, error.code, error.detail, headers)


def _unexpected(environ: Mapping[str, Any]) -> webob.Response:
    id_ = environ.get(request_id.ENV_REQUEST_ID, "unknown")
    text = f"Unexpected error; the log has more under the request id {id_}."
    return _fault(environ, 500, CyborgError.code, text, {})


def _foreign(response: webob.Response, environ: Mapping[str, Any]) -> webob.Response:
    status = response.status_int
    if status == 500:
        return _unexpected(environ)
    headers = {name: response.headers[name] for name in _KEPT if name in response.headers}
    if status == 503:
        headers.setdefault("Retry-After", RETRY_AFTER)
    # Not http.HTTPStatus: its phrases differ from one Python to the next.
    reason = status_reasons.get(status, "The request failed")
    code = ServiceUnavailable.code if status == 503 else _FOREIGN.get(status, "cyborg.refused")
    return _fault(environ, status, code, f"{reason}.", headers)


def _fault(
    environ: Mapping[str, Any], status: int, code: str, text: str, headers: Mapping[str, str]
) -> webob.Response:
    fault = {
        "faultcode": "Client" if status < 500 else "Server",
        "faultstring": text,
        "debuginfo": None,
    }
    version = microversions.wanted(environ.get(_VERSION_KEY))
    # Where no version could be agreed on, the code says why.
    if version is None or version >= microversions.V2_4:
        fault["code"] = code
    response = webob.Response(
        status=status,
        json_body={"error_message": json.dumps(fault)},
        content_type="application/json",
    )
    response.headers.update(headers)
    return response
