"""One HTTP request as a handler sees it, and what makes a method a handler."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pecan
import webob
from oslo_config import cfg

from cyborg.api import microversions
from cyborg.api.authorization import Authorizer
from cyborg.api.body import check_text, read_json
from cyborg.api.context import ApiContext, from_environ
from cyborg.api.errors import HEADERS_KEY
from cyborg.api.microversions import Version
from cyborg.db.database import ReadDatabase
from cyborg.domain.errors import InvalidInput, NotAcceptable, NotFound
from cyborg.domain.model import AcceleratorRequest
from cyborg.rpc.conductor import ConductorClient

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with."""

    conf: cfg.ConfigOpts
    database: ReadDatabase
    conductor: ConductorClient
    authorizer: Authorizer
    service_token_roles: Collection[str]

    def base_url(self, request: webob.Request) -> str:
        """Return what comes before ``/v2`` in links, behind whatever proxies."""
        endpoint: str = self.conf.api.public_endpoint or request.application_url
        return endpoint.rstrip("/")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an authenticated caller."""

    request: webob.Request
    context: ApiContext
    version: Version
    base_url: str
    authorizer: Authorizer

    def require(self, action: str, arq: AcceleratorRequest | None = None) -> None:
        """Check that the caller may.

        :raises Forbidden: the policy does not allow it.
        """
        self.authorizer.require(self.context, action, arq)

    def query(self, *known: str) -> dict[str, str]:
        """Return the query parameters.

        :raises InvalidInput: one is not known, or given twice.
        """
        pairs = list(self.request.GET.items())
        unknown = dict.fromkeys(name for name, _ in pairs if name not in known)
        if unknown:
            raise InvalidInput(f'Unknown argument: "{", ".join(unknown)}"')
        query = dict(pairs)
        if len(query) != len(pairs):
            raise InvalidInput("A query parameter is given twice.")
        return query

    def body(self) -> object:
        """Return the JSON body; see :func:`cyborg.api.body.read_json`."""
        return read_json(self.request)


class Request(pecan.Request):  # type: ignore[misc]  # pecan has no types
    """Keeps pecan from looking for arguments in the body, and refuses what is not text.

    Pecan would read a JSON body once more, and fall over one that is nested deeply.
    """

    @property
    def path_info(self) -> str:
        """The path, as text."""
        raw: str = self.environ.get("PATH_INFO", "")
        try:
            path = raw.encode("latin-1").decode("utf-8")
            check_text(path, "The path")
        except (UnicodeError, InvalidInput) as error:
            raise NotFound("The resource could not be found.") from error
        return path

    @property
    def GET(self) -> Mapping[str, str]:
        """The query, as text."""
        try:
            query: Mapping[str, str] = super().GET
        except UnicodeDecodeError as error:
            raise InvalidInput("The query is not UTF-8.") from error
        for name, value in query.items():
            check_text(name, "The query")
            check_text(value, "The query")
        return query

    @property
    def params(self) -> Mapping[str, str]:
        """The query alone."""
        return self.GET

    @property
    def json(self) -> object:
        """Nothing: :meth:`Call.body` reads it."""
        raise ValueError


def handler(status: int = 200) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Make a method of a resource a handler: it gets a :class:`Call` and path segments.

    What it returns is answered as JSON, None as an empty body.
    """

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(function)
        def exposed(
            self: Any, request: webob.Request, response: webob.Response, *segments: str
        ) -> webob.Response:
            return _answer(function(self, _call(self.services, request), *segments), status)

        pecan.expose(content_type=JSON)(exposed)
        return exposed

    return decorate


def document(function: Callable[..., object]) -> Callable[..., object]:
    """Make a method a handler of a version document, which needs no caller."""

    @functools.wraps(function)
    def exposed(self: Any, request: webob.Request, response: webob.Response) -> webob.Response:
        return _answer(function(self, request), 200)

    pecan.expose(content_type=JSON)(exposed)
    return exposed


def negotiate(request: webob.Request) -> Version:
    """Return the microversion, and see to it that the answer's headers say so.

    :raises NotAcceptable: there is none such, or the caller does not take JSON.
    """
    try:
        version = microversions.negotiate(request.headers.get(microversions.HEADER))
    except microversions.OutOfRange:
        request.environ[HEADERS_KEY] = microversions.LIMITS
        raise
    request.environ[HEADERS_KEY] = microversions.headers(version)
    return version


def require_json_accepted(request: webob.Request) -> None:
    """Check that the caller takes JSON.

    :raises NotAcceptable: only something else.
    """
    if not request.accept.acceptable_offers([JSON]):
        raise NotAcceptable("Answers are application/json, which the Accept header excludes.")


def _call(services: Services, request: webob.Request) -> Call:
    version = negotiate(request)
    require_json_accepted(request)
    return Call(
        request=request,
        context=from_environ(request.environ, services.service_token_roles),
        version=version,
        base_url=services.base_url(request),
        authorizer=services.authorizer,
    )


def _answer(result: object, status: int) -> webob.Response:
    if result is None:
        return webob.Response(status=status, content_type=None)
    body = json.dumps(result).encode("ascii")
    return webob.Response(body=body, status=status, content_type=JSON)
