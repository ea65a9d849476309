"""The root controller: the documents that everybody may read, and the way to the resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pecan
import webob

from cyborg.api import microversions, openapi
from cyborg.api.calls import JSON, Services, negotiate, require_json_accepted
from cyborg.api.errors import MethodNotAllowed
from cyborg.api.operations import document
from cyborg.api.resource import Found, Resource, no_such_path


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
        if segments == ["openapi"]:
            return self._document(request, self.openapi)
        resource = self._resources.get(segments[0])
        if resource is None:
            raise no_such_path()
        return resource.find(request, segments[1:])

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

    @document
    def openapi(self, request: webob.Request) -> object:
        """``GET /v2/openapi.json``."""
        version = negotiate(request)
        require_json_accepted(request)
        return openapi.document(self._resources, version, self.services.base_url(request))

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
