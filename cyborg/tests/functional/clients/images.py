"""A stand-in for Glance: what the clients and an agent ask of it about public images."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import webob
from cheroot import wsgi

from cyborg.domain.clock import new_uuid
from cyborg.tests.servers import system

_IMAGE_PATH = re.compile(r"/v2/images/([^/]+)(/file)?")
_TIME = "2026-01-01T00:00:00Z"
_LOOK_SECONDS = 0.05  # how long it may take to end


class ImageService:
    """Images by uuid, which whoever has a token may read."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._images: dict[str, bytes] = {}

    def add(self, data: bytes, *, visibility: Literal["public"]) -> str:
        """Have an image with these data; return its uuid."""
        assert visibility == "public"
        uuid = new_uuid()
        self._images[uuid] = data
        return uuid

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a request."""
        answer: Iterable[bytes] = self._response(webob.Request(environ))(environ, start_response)
        return answer

    def _response(self, request: webob.Request) -> webob.Response:
        if request.path == "/":
            return webob.Response(json_body={"versions": [self._version()]}, status=300)
        if not request.headers.get("X-Auth-Token"):
            return webob.Response(status=401)
        found = _IMAGE_PATH.fullmatch(request.path)
        if request.method != "GET" or found is None or found[1] not in self._images:
            return webob.Response(status=404)
        data = self._images[found[1]]
        if found[2]:
            return webob.Response(data, content_type="application/octet-stream")
        return webob.Response(json_body=_document(found[1], data))

    def _version(self) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{self.url}/v2/"}
        return {"id": "v2.16", "status": "CURRENT", "links": [link]}


@contextmanager
def image_service() -> Iterator[ImageService]:
    """Return one that runs in this process."""
    port = system.Port()
    images = ImageService(f"http://127.0.0.1:{port.number}")
    server = wsgi.Server(("127.0.0.1", port.number), images)
    server.expiration_interval = _LOOK_SECONDS
    server.prepare()
    thread = threading.Thread(target=server.serve, name="glance", daemon=True)
    thread.start()
    try:
        yield images
    finally:
        server.stop()
        thread.join()
        port.release()


def _document(uuid: str, data: bytes) -> dict[str, Any]:
    return {
        "id": uuid,
        "name": "bitstream",
        "status": "active",
        "visibility": "public",
        "owner": "0" * 32,
        "protected": False,
        "container_format": "bare",
        "disk_format": "raw",
        "size": len(data),
        "checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(data).hexdigest(),
        "tags": [],
        "created_at": _TIME,
        "updated_at": _TIME,
        "self": f"/v2/images/{uuid}",
        "file": f"/v2/images/{uuid}/file",
        "schema": "/v2/schemas/image",
    }
