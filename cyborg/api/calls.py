"""One HTTP request as a handler sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pecan
import webob
from oslo_config import cfg
from webob.multidict import MultiDict

from cyborg.api import microversions
from cyborg.api.authorization import Authorizer
from cyborg.api.body import check_text, read_json
from cyborg.api.context import ApiContext
from cyborg.api.errors import HEADERS_KEY
from cyborg.api.microversions import Version
from cyborg.db.database import ReadDatabase
from cyborg.domain.errors import InvalidInput, NotAcceptable, NotFound
from cyborg.domain.model import AcceleratorRequest
from cyborg.domain.paging import Page
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
    #: The rule of the policy.
    action: str
    #: The query's parameters: all of them known, and each one's value checked.
    query: Mapping[str, Any]
    page: Page
    #: The parameters that are the operation's own, not those of pages.
    own: tuple[str, ...]

    def filters(self) -> dict[str, Any]:
        """Return what a list is asked for, by the names of the operation's own parameters."""
        return {name: self.query[name] for name in self.own if name in self.query}

    def require(self, arq: AcceleratorRequest | None = None) -> None:
        """Check that the caller may.

        :raises Forbidden: the policy does not allow it.
        """
        self.authorizer.require(self.context, self.action, arq)

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
        """The query, as text. Unlike WebOb's, only ``&`` separates: ``;`` may be in a value."""
        raw = self.environ.get("QUERY_STRING", "").encode("latin-1")
        try:
            query: Mapping[str, str] = MultiDict(
                parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
            )
        except UnicodeError as error:
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
