"""What the service says of itself: its OpenAPI document of each microversion."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import webob
from oslo_config import cfg

from cyborg.api import microversions
from cyborg.api.app import build_application
from cyborg.conf import opts

Json = dict[str, Any]

VERSIONS = [
    (microversions.MINIMUM[0], minor)
    for minor in range(microversions.MINIMUM[1], microversions.MAXIMUM[1] + 1)
]

_METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True)
class Operation:
    """An operation, as it is described in each microversion that has it."""

    method: str
    #: From ``/v2`` on.
    path: str
    #: Oldest first.
    described: dict[str, Json]

    @property
    def slug(self) -> str:
        """What its files are named by."""
        segments = re.sub(r"[{}]", "", self.path).strip("/").split("/")
        return "-".join([*(segments[1:] or segments), self.method.lower()])

    @property
    def newest(self) -> Json:
        """As it is in the newest microversion."""
        return list(self.described.values())[-1]


def documents() -> dict[str, Json]:
    """Return microversion to document, the oldest first, from the service itself."""
    # It says at its start that it authenticates nobody.
    logging.disable(logging.WARNING)
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([], project="cyborg", default_config_files=[], default_config_dirs=[])
    conf.set_override("auth_strategy", "noauth")
    # The document needs neither database nor conductor.
    application = build_application(conf, cast(Any, None), cast(Any, None))
    found = {}
    for version in map(microversions.text, VERSIONS):
        request = webob.Request.blank("/v2/openapi.json")
        request.headers[microversions.HEADER] = f"{microversions.SERVICE_TYPE} {version}"
        request.remote_addr = "127.0.0.1"
        document = request.get_response(application).json
        found[version] = {**document, "paths": _resolved(document["paths"], document)}
    return found


def _resolved(part: Any, document: Json) -> Any:
    """Return part of a document without references: with what they refer to."""
    if isinstance(part, list):
        return [_resolved(item, document) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        meant: Any = document
        for segment in part["$ref"].removeprefix("#/").split("/"):
            meant = meant[segment]
        return _resolved({**meant, **{k: v for k, v in part.items() if k != "$ref"}}, document)
    return {key: _resolved(value, document) for key, value in part.items()}


def operations(of: dict[str, Json]) -> Iterator[Operation]:
    """Return all operations, in the order of the newest document."""
    newest = list(of.values())[-1]
    for path, methods in newest["paths"].items():
        for method in (name for name in _METHODS if name in methods):
            described = {
                version: document["paths"][path][method]
                for version, document in of.items()
                if method in document["paths"].get(path, {})
            }
            yield Operation(method.upper(), f"/v2{path}".rstrip("/"), described)
