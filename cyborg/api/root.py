"""The root controller: the version documents, and the way to the resources.

Each resource names its handlers in a table; nothing else can be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pecan
import webob

from cyborg.api import microversions
from cyborg.api.calls import JSON, Services, document, negotiate, require_json_accepted
from cyborg.api.errors import MethodNotAllowed
from cyborg.domain.errors import NotFound

Methods = Mapping[str, str]
Found = tuple[Callable[..., object], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Routes:
    """HTTP method to the name of the handler, for each kind of path."""

    #: ``/devices``
    collection: Methods
    #: ``/devices/{segment}``
    item: Methods = field(default_factory=dict)
    #: ``/devices/{segment}/{action}``
    actions: Mapping[str, Methods] = field(default_factory=dict)

    def methods(self, segments: Sequence[str]) -> Methods:
        """Return what a path allows; nothing if there is no such path."""
        match segments:
            case []:
                return self.collection
            case [segment] if segment:
                return self.item
            case [segment, action] if segment:
                return self.actions.get(action, {})
        return {}


class Resource:
    """Base of the controllers, one a resource."""

    routes: ClassVar[Routes]

    def __init__(self, services: Services) -> None:
        self.services = services

    def find(self, method: str, segments: Sequence[str]) -> Found:
        """Return the handler of a request, and its segments.

        :raises NotFound: there is no such path.
        :raises MethodNotAllowed: there is, for other methods.
        """
        methods = self.routes.methods(segments)
        # Deployed clients know 404 for a PATCH of a collection.
        if not methods or (method == "PATCH" and not segments and method not in methods):
            raise _not_found()
        if method not in methods:
            raise MethodNotAllowed(methods)
        return getattr(self, methods[method]), segments[:1]


class RootController:
    """``/`` and ``/v2``; the prefix is optional before a resource."""

    def __init__(self, services: Services, resources: Mapping[str, Resource]) -> None:
        self.services = services
        self._resources = resources

    @pecan.expose()  # type: ignore[untyped-decorator]  # pecan has no types
    def _route(self, arguments: list[str], request: webob.Request) -> Found:
        # Set, so that pecan does not negotiate: it logs a caller's mistake as an error.
        request.pecan["content_type"] = JSON
        segments = _normal(arguments)
        if not segments:
            return self._document(request, self.versions)
        if segments[0] == "v2":
            segments = segments[1:]
            if not segments:
                return self._document(request, self.version)
        resource = self._resources.get(segments[0])
        if resource is None:
            raise _not_found()
        return resource.find(request.method, segments[1:])

    @document
    def versions(self, request: webob.Request) -> object:
        """``GET /``."""
        require_json_accepted(request)
        current = {
            "id": "v2",
            "status": "CURRENT",
            "max_version": microversions.text(microversions.MAXIMUM),
            "min_version": microversions.text(microversions.MINIMUM),
            "links": [{"href": f"{self.services.base_url(request)}/v2", "rel": "self"}],
        }
        return {
            "name": "OpenStack Accelerator API",
            "description": "Accelerators for servers: FPGAs, GPUs, SmartNICs and others.",
            "versions": [current],
            "default_version": current,
        }

    @document
    def version(self, request: webob.Request) -> object:
        """``GET /v2``."""
        negotiate(request)
        require_json_accepted(request)
        return {
            "id": "v2.0",
            "links": [{"href": f"{self.services.base_url(request)}/v2/", "rel": "self"}],
            "max_version": microversions.text(microversions.MAXIMUM),
            "min_version": microversions.text(microversions.MINIMUM),
            "status": "CURRENT",
        }

    def _document(self, request: webob.Request, found: Callable[..., Any]) -> Found:
        if request.method != "GET":
            raise MethodNotAllowed(["GET"])
        return found, []


def _normal(arguments: list[str]) -> list[str]:
    """Return the segments of a path without a last slash, or ``.json`` after a collection."""
    segments = arguments[:-1] if arguments and arguments[-1] == "" else list(arguments)
    collection = 2 if segments[:1] == ["v2"] else 1
    if 0 < len(segments) <= collection:
        segments[-1] = segments[-1].removesuffix(".json")
        if segments[-1] == "":
            segments.pop()
    return segments


def _not_found() -> NotFound:
    return NotFound("The resource could not be found.")
