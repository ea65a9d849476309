"""What can be done over HTTP: one declaration an operation.

The declaration reads the request, and describes it: the OpenAPI document and the API
reference are made from it, and the matrix of who may do what is held against it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pecan
import webob

from cyborg.api.calls import JSON, Call, Services, negotiate, require_json_accepted
from cyborg.api.context import from_environ
from cyborg.api.fields import Declaration
from cyborg.api.microversions import MINIMUM, V2_4, Version
from cyborg.api.paging import FILTERS, LIMIT, MARKER, page, sort_parameters, without_filters
from cyborg.api.parameters import Parameter, parse

#: Where a handler has its declaration.
ATTRIBUTE = "operation"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the body of a success is."""

    declared: type[Declaration]
    #: The key that holds the object, or the list; empty: the object is the body.
    key: str = ""
    many: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What the body of a request may be."""

    meaning: str
    #: A JSON schema.
    schema: Callable[[Version], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Listing:
    """That an operation lists a collection."""

    #: In every version that has an order at all.
    sortable: tuple[str, ...]
    #: Whether ``filters`` is known, before microversion 2.4.
    filters: bool = False
    #: Further keys of the order, and since when.
    newer: Mapping[str, Version] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The declaration of an operation."""

    summary: str
    #: The rule of the policy.
    action: str
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    listing: Listing | None = None
    body: Body | None = None
    answer: Answer | None = None
    #: Statuses of errors, beside those that every operation has.
    errors: tuple[int, ...] = ()
    since: Version = MINIMUM
    #: What the path says of which object; None: what the resource says (see Resource).
    identifier: Parameter | None = None

    def known_parameters(self) -> tuple[Parameter, ...]:
        """Return the query parameters, those of pages included."""
        if self.listing is None:
            return self.parameters
        order = sort_parameters(self.listing.sortable, self.listing.newer)
        known = (*self.parameters, LIMIT, MARKER, *order)
        return (*known, FILTERS) if self.listing.filters else known


def handler(operation: Operation) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Make a method of a resource a handler: it gets a :class:`Call` and path segments.

    What it returns is answered as JSON, None as an empty body.
    """

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(function)
        def exposed(
            self: Any, request: webob.Request, response: webob.Response, *segments: str
        ) -> webob.Response:
            call = _call(self.services, request, operation)
            return answer_of(function(self, call, *segments), operation.status)

        setattr(exposed, ATTRIBUTE, operation)
        pecan.expose(content_type=JSON)(exposed)
        return exposed

    return decorate


def document(function: Callable[..., object]) -> Callable[..., object]:
    """Make a method a handler of a document that needs no caller."""

    @functools.wraps(function)
    def exposed(self: Any, request: webob.Request, response: webob.Response) -> webob.Response:
        return answer_of(function(self, request), 200)

    pecan.expose(content_type=JSON)(exposed)
    return exposed


def answer_of(result: object, status: int) -> webob.Response:
    """Return the response with a result."""
    if result is None:
        empty = webob.Response(status=status)
        # WebOb takes what is empty for HTML.
        empty.content_type = None
        return empty
    body = json.dumps(result).encode("ascii")
    return webob.Response(body=body, status=status, content_type=JSON)


def _call(services: Services, request: webob.Request, operation: Operation) -> Call:
    version = negotiate(request)
    require_json_accepted(request)
    context = from_environ(request.environ, services.service_token_roles)
    query = _query(request, operation, version)
    return Call(
        request=request,
        context=context,
        version=version,
        base_url=services.base_url(request),
        authorizer=services.authorizer,
        action=operation.action,
        query=query,
        page=page(query, version, services.conf.api.max_limit),
        own=tuple(parameter.name for parameter in operation.parameters),
    )


def _query(request: webob.Request, operation: Operation, version: Version) -> dict[str, Any]:
    pairs = list(request.GET.items())
    meant: dict[str, Any] = {}
    if operation.listing is not None and operation.listing.filters and version < V2_4:
        pairs, meant = without_filters(pairs, operation.listing.sortable)
    return {**parse(pairs, operation.known_parameters(), version), **meant}
