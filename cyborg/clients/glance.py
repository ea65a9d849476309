"""Glance: images, as far as a project may use them, and their data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from keystoneauth1.adapter import Adapter
from oslo_config import cfg

from cyborg.clients.http import Service, load_adapter

#: The catalogue names Glance with or without its version.
_VERSION = re.compile(r"/v2(\.\d+)?$")

#: Visibilities of images that every project may use.
_FOR_ALL = frozenset({"public", "community"})


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a project may use."""

    uuid: str
    #: ``active``, or there is no data to have.
    status: str
    #: Bytes; None where Glance does not know.
    size: int | None
    #: Names of a hash's algorithm, and the hash: the strong one, and the old MD5.
    hash_algorithm: str | None
    hash_value: str | None
    checksum: str | None
    #: What its owner says of it: every property that is a text.
    properties: Mapping[str, str]


def load_glance(conf: cfg.ConfigOpts) -> Glance | None:
    """Return Glance as ``[glance]`` says, None if it says nothing.

    :raises ConfigurationError: it says something that cannot be used.
    """
    adapter = load_adapter(conf, "glance")
    return None if adapter is None else Glance(adapter)


class Glance:
    """Every method may raise ``ServiceUnavailable``."""

    def __init__(self, adapter: Adapter) -> None:
        self._service = Service("Glance", adapter)

    def image(self, uuid: str, project_id: str | None) -> Image | None:
        """Return an image, None if there is none that the project may use.

        We may read any project's images, and most users may not: so what decides is the
        image's visibility, its owner, and whom it is shared with.
        """
        answer = self._service.ask("GET", self._url(f"/images/{uuid}"))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._service.unexpected(answer)
        if not self._may_use(self._service.read(answer, _access), uuid, project_id):
            return None
        return self._service.read(answer, _image)

    def data(self, uuid: str) -> AbstractContextManager[Iterator[bytes]]:
        """Return the data of an image, in parts. Nobody has checked them yet."""
        return self._service.stream(self._url(f"/images/{uuid}/file"))

    def _may_use(self, access: tuple[str, str | None], uuid: str, project_id: str | None) -> bool:
        visibility, owner = access
        if visibility in _FOR_ALL:
            return True
        if project_id is None:
            return False
        if owner == project_id:
            return True
        return visibility == "shared" and self._has_accepted(uuid, project_id)

    def _has_accepted(self, uuid: str, project_id: str) -> bool:
        member = quote(project_id, safe="")
        answer = self._service.ask("GET", self._url(f"/images/{uuid}/members/{member}"))
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise self._service.unexpected(answer)
        return self._service.read(answer, lambda body: bool(body["status"] == "accepted"))

    def _url(self, path: str) -> str:
        base = _VERSION.sub("", self._service.endpoint().rstrip("/"))
        return f"{base}/v2{path}"


def _access(body: Any) -> tuple[str, str | None]:
    return str(body["visibility"]), body["owner"]


def _image(body: Any) -> Image:
    size = body.get("size")
    return Image(
        uuid=str(body["id"]),
        status=str(body["status"]),
        size=None if size is None else int(size),
        hash_algorithm=body.get("os_hash_algo"),
        hash_value=body.get("os_hash_value"),
        checksum=body.get("checksum"),
        properties={name: value for name, value in body.items() if isinstance(value, str)},
    )
