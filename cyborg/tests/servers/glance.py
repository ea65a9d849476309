"""A stand-in for Glance: a real HTTP server in the test process that behaves as Glance does."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import webob

from cyborg.tests.servers.keystone import Keystone
from cyborg.tests.servers.stand_in import Mode, StandIn

_IMAGE_PATH = re.compile(r"/v2/images/([^/]+)")
_FILE_PATH = re.compile(r"/v2/images/([^/]+)/file")
_MEMBER_PATH = re.compile(r"/v2/images/([^/]+)/members/([^/]+)")
_PART = 64 * 1024


@dataclass
class StandInImage:
    """An image. What is said of its data is computed from them."""

    owner: str | None
    data: bytes = b""
    visibility: str = "private"
    status: str = "active"
    #: Project to ``pending``, ``accepted`` or ``rejected``.
    members: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    hash_algorithm: str | None = "sha512"  # None: an image of old, with nothing but MD5
    checksum: bool = True
    #: What is sent in place of the data: a store that has rotted.
    sent: bytes | None = None
    #: So many times the connection ends in the middle of the data.
    breaks: int = 0


class _Fault(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GlanceStandIn(StandIn):
    """Answers as Glance 33 does to what this service asks of it."""

    service = "glance"

    def __init__(self, keystone: Keystone | None = None) -> None:
        super().__init__(keystone)
        #: By uuid; tests change it at will.
        self.images: dict[str, StandInImage] = {}

    @property
    def url(self) -> str:
        """The URL that the catalogue names."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, data: bytes, owner: str | None = None, **values: Any) -> str:
        """Let there be an image; return its uuid."""
        uuid = str(uuid4())
        self.images[uuid] = StandInImage(owner, data, **values)
        return uuid

    def downloads(self, uuid: str) -> int:
        """Return how often the data of an image were asked for."""
        return self.count("GET", f"/v2/images/{uuid}/file")

    def _response(self, request: webob.Request, mode: Mode) -> webob.Response:
        if mode.status is not None:
            response = _refusal(_Fault(mode.status, "The stand-in was told to fail."))
        elif (request.method, request.path) == ("GET", "/"):
            response = webob.Response(
                json_body={"versions": [_version(request.host_url)]}, status=300
            )
        else:
            response = request.get_response(self._authenticated)
        response.headers["x-openstack-request-id"] = f"req-{uuid4()}"
        return response

    def _served(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = webob.Request(environ)
        try:
            if not request.headers.get("X-Auth-Token"):
                raise _Fault(401, "This server could not verify that you are authorized.")
            response = self._dispatch(request)
        except _Fault as fault:
            response = _refusal(fault)
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    def _dispatch(self, request: webob.Request) -> webob.Response:
        if request.method != "GET":
            raise _Fault(405, "The method is not allowed for this resource.")
        if match := _IMAGE_PATH.fullmatch(request.path):
            return webob.Response(json_body=_document(match[1], self._image(request, match[1])))
        if match := _FILE_PATH.fullmatch(request.path):
            return self._file(request, self._image(request, match[1]))
        if match := _MEMBER_PATH.fullmatch(request.path):
            return self._member(request, *match.groups())
        raise _Fault(404, "The resource could not be found.")

    def _image(self, request: webob.Request, uuid: str) -> StandInImage:
        image = self.images.get(uuid)
        if image is None or not self._sees(request, image):
            raise _Fault(404, f"No image found with ID {uuid}")
        return image

    def _sees(self, request: webob.Request, image: StandInImage) -> bool:
        project = request.headers.get("X-Project-Id")
        return (
            self._has(request, "admin")
            or image.visibility in ("public", "community")
            or (image.owner is not None and image.owner == project)
            or (image.visibility == "shared" and project in image.members)
        )

    def _file(self, request: webob.Request, image: StandInImage) -> webob.Response:
        if image.status == "deactivated" and not self._has(request, "admin"):
            raise _Fault(403, "The requested image has been deactivated.")
        if image.status not in ("active", "deactivated"):
            return webob.Response(status=204)
        data = image.data if image.sent is None else image.sent
        response = webob.Response(content_type="application/octet-stream")
        response.app_iter = _broken(data) if image.breaks else _parts(data)
        response.content_length = len(data)
        image.breaks = max(0, image.breaks - 1)
        return response

    def _member(self, request: webob.Request, uuid: str, project: str) -> webob.Response:
        image = self._image(request, uuid)
        if project not in image.members:
            raise _Fault(404, f"{project} not found in the member list of the image {uuid}.")
        return webob.Response(
            json_body={
                "member_id": project,
                "image_id": uuid,
                "status": image.members[project],
                "created_at": "2026-01-01T00:00:00Z",
                "updated_at": "2026-01-01T00:00:00Z",
                "schema": "/v2/schemas/member",
            }
        )


def _version(url: str) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{url}/v2/"}
    return {"id": "v2.17", "status": "CURRENT", "links": [link]}


def _document(uuid: str, image: StandInImage) -> dict[str, Any]:
    has_data = image.status in ("active", "deactivated")
    algorithm = image.hash_algorithm if has_data else None
    md5 = hashlib.md5(image.data, usedforsecurity=False).hexdigest()
    return {
        **image.properties,
        "id": uuid,
        "name": f"image-{uuid[:8]}",
        "status": image.status,
        "visibility": image.visibility,
        "owner": image.owner,
        "size": len(image.data) if has_data else None,
        "checksum": md5 if has_data and image.checksum else None,
        "os_hash_algo": algorithm,
        "os_hash_value": hashlib.new(algorithm, image.data).hexdigest() if algorithm else None,
        "os_hidden": False,
        "protected": False,
        "min_disk": 0,
        "min_ram": 0,
        "virtual_size": len(image.data) if has_data else None,
        "container_format": "bare",
        "disk_format": "raw",
        "tags": ["FPGA"],
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "self": f"/v2/images/{uuid}",
        "file": f"/v2/images/{uuid}/file",
        "schema": "/v2/schemas/image",
        "stores": "file",
    }


def _refusal(fault: _Fault) -> webob.Response:
    title = webob.Response(status=fault.status).status
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{fault}</body></html>"
    return webob.Response(text, status=fault.status, content_type="text/html")


def _parts(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _PART):
        yield data[start : start + _PART]


def _broken(data: bytes) -> Iterator[bytes]:
    yield data[: len(data) // 2]
    # The server ends the connection, since it has promised more.
    raise ConnectionResetError
