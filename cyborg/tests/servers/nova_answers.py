"""What Nova 34 answers to the few requests of this service."""

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import microversion_parse

NEWEST = (2, 104)
VERSION_HEADER = "OpenStack-API-Version"
LEGACY_HEADER = "X-OpenStack-Nova-API-Version"

ACCELERATOR_EVENT = "accelerator-request-bound"
_VERSION = re.compile(r"([1-9]\d*)\.(0|[1-9]\d*)")
_CELL_DOWN_SINCE = (2, 69)
_EVENTS_SINCE = {
    "network-changed": (2, 1),
    "network-vif-plugged": (2, 1),
    "network-vif-unplugged": (2, 1),
    "network-vif-deleted": (2, 1),
    "volume-extended": (2, 51),
    "power-update": (2, 76),
    ACCELERATOR_EVENT: (2, 82),
    "volume-reimaged": (2, 93),
}
_TAGGED = {"volume-extended", "power-update", ACCELERATOR_EVENT}

_FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}

_STATUS = {
    "active": "ACTIVE",
    "building": "BUILD",
    "deleted": "DELETED",
    "error": "ERROR",
    "paused": "PAUSED",
    "rescued": "RESCUE",
    "resized": "VERIFY_RESIZE",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
    "soft-delete": "SOFT_DELETED",
    "stopped": "SHUTOFF",
    "suspended": "SUSPENDED",
}
_REBUILDING = {"rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"}
_REBUILT_FROM = {"active", "stopped", "error"}

Version = tuple[int, int]


@dataclass
class StandInServer:
    """A server as Nova's API shows it."""

    project_id: str
    host: str | None = None  # None: not scheduled yet, or offloaded; events are answered with 422
    node: str | None = None  # the hypervisor's hostname, None: the same as the host
    vm_state: str = "active"
    task_state: str | None = None
    cell_down: bool = False  # hardly anything is known of it, and events for it break the request

    @property
    def status(self) -> str:
        """What users are told of the two states."""
        if self.task_state in _REBUILDING and self.vm_state in _REBUILT_FROM:
            return "REBUILD"
        return _STATUS.get(self.vm_state, "UNKNOWN")


class Fault(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {_FAULTS.get(status, "computeFault"): {"code": status, "message": message}}


def negotiated(headers: Mapping[str, str]) -> Version:
    """Return the microversion that a request wants, 2.1 when it says nothing.

    :raises Fault: 400 or 406.
    """
    wanted = microversion_parse.get_version(
        dict(headers), service_type="compute", legacy_headers=[LEGACY_HEADER]
    )
    if wanted is None:
        return (2, 1)
    if wanted == "latest":
        return NEWEST
    found = _VERSION.fullmatch(wanted)
    if found is None:
        raise Fault(
            400,
            f"API Version String {wanted} is of invalid format. "
            "Must be of format MajorNum.MinorNum.",
        )
    version = int(found[1]), int(found[2])
    if not (2, 1) <= version <= NEWEST:
        newest = f"{NEWEST[0]}.{NEWEST[1]}"
        raise Fault(
            406,
            f"Version {wanted} is not supported by the API. "
            f"Minimum is 2.1 and maximum is {newest}.",
        )
    return version


def version_document(url: str) -> dict[str, Any]:
    """Return what the URL in the catalogue says, to everybody."""
    return {
        "version": {
            "id": "v2.1",
            "status": "CURRENT",
            "version": f"{NEWEST[0]}.{NEWEST[1]}",
            "min_version": "2.1",
            "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": f"{url}/"}],
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.compute+json;version=2.1",
                }
            ],
        }
    }


def server_document(
    uuid: str, server: StandInServer | None, version: Version, url: str, project_id: str | None
) -> dict[str, Any]:
    """Return a server as its project sees it, or with None as an administrator does.

    :raises Fault: 404, 500 when its cell is down and the microversion too old to say so.
    """
    foreign = server is not None and project_id not in (None, server.project_id)
    if server is None or foreign:
        raise Fault(404, f"Instance {uuid} could not be found.")
    document: dict[str, Any] = {
        "id": uuid,
        "tenant_id": server.project_id,
        "created": "2026-01-01T00:00:00Z",
        "status": "UNKNOWN",
        "links": [{"rel": "self", "href": f"{url}/servers/{uuid}"}],
        "image": "",
        "flavor": {"original_name": "accelerated", "vcpus": 1, "ram": 512, "disk": 1},
        "user_id": "UNKNOWN",
        "OS-EXT-AZ:availability_zone": "UNKNOWN",
        "OS-EXT-STS:power_state": 0,
        "server_groups": [],
    }
    if server.cell_down:
        if version < _CELL_DOWN_SINCE:
            raise Fault(500, "Unexpected API Error: NovaException")
        return {"server": document}
    document |= {
        "name": f"server-{uuid[:8]}",
        "status": server.status,
        "updated": "2026-01-01T00:00:00Z",
        "user_id": "0" * 32,
        "metadata": {},
        "addresses": {},
        "OS-EXT-AZ:availability_zone": "nova" if server.host else "",
        "OS-EXT-STS:power_state": 1 if server.vm_state == "active" else 0,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
    }
    if project_id is None:
        document |= {
            "OS-EXT-SRV-ATTR:host": server.host,
            "OS-EXT-SRV-ATTR:hypervisor_hostname": server.node or server.host,
            "OS-EXT-SRV-ATTR:instance_name": f"instance-{uuid[:8]}",
        }
    return {"server": document}


def server_list(
    servers: Mapping[str, StandInServer],
    query: Mapping[str, str],
    version: Version,
    url: str,
    *,
    project_id: str | None,
    admin: bool,
) -> dict[str, Any]:
    """Return the servers of a project, or of all with None, whose name the query's matches.

    As with any filter, none whose cell is down.
    """
    wanted = re.compile(query.get("name", ""))
    found = [
        server_document(uuid, server, version, url, None if admin else project_id)["server"]
        for uuid, server in servers.items()
        if not server.cell_down and project_id in (None, server.project_id)
    ]
    return {"servers": [document for document in found if wanted.search(document["name"])]}


def check_events(body: Any, version: Version) -> None:
    """Check a body of events against the schema of a microversion.

    :raises Fault: 400.
    """
    names = [name for name, since in _EVENTS_SINCE.items() if since <= version]
    try:
        jsonschema.validate(body, _schema(names), format_checker=_FORMATS)
    except jsonschema.ValidationError as error:
        where = ""
        if error.path:
            value = error.instance
            where = f"Invalid input for field/attribute {error.path[-1]}. Value: {value}. "
        raise Fault(400, where + error.message) from error


def answered(
    events: list[dict[str, Any]], servers: Mapping[str, StandInServer]
) -> tuple[int, list[dict[str, Any]]]:
    """Return the status of a request of events, and what is said of each of them.

    :raises Fault: 500 when the cell of one of the servers is down.
    """
    found = {event["server_uuid"]: servers.get(event["server_uuid"]) for event in events}
    if any(server is not None and server.cell_down for server in found.values()):
        raise Fault(500, "Unexpected API Error: DBConnectionError")
    answers = copy.deepcopy(events)
    for answer in answers:
        code = _code(answer, found[answer["server_uuid"]])
        # An accepted event is "completed" here even if it told of a failure.
        answer |= {"status": "completed" if code == 200 else "failed", "code": code}
    all_accepted = {answer["code"] for answer in answers} == {200}
    return (200 if all_accepted else 207), answers


def request_id_headers() -> dict[str, str]:
    """Return a new request's id, as every answer has it."""
    request_id = f"req-{uuid4()}"
    return {"x-openstack-request-id": request_id, "x-compute-request-id": request_id}


def version_headers(version: Version) -> dict[str, str]:
    """Return how an answer tells its microversion."""
    told = f"{version[0]}.{version[1]}"
    vary = f"{VERSION_HEADER}, {LEGACY_HEADER}"
    return {VERSION_HEADER: f"compute {told}", LEGACY_HEADER: told, "Vary": vary}


def _code(event: Mapping[str, Any], server: StandInServer | None) -> int:
    if server is None:
        return 404
    if event["name"] in _TAGGED and event.get("tag") is None:
        return 400
    return 200 if server.host else 422


def _schema(names: Collection[str]) -> dict[str, Any]:
    event = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": list(names)},
            "server_uuid": {"type": "string", "format": "uuid"},
            "status": {"type": "string", "enum": ["failed", "completed", "in-progress"]},
            "tag": {"type": "string", "maxLength": 255},
        },
        "required": ["name", "server_uuid"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"events": {"type": "array", "minItems": 1, "items": event}},
        "required": ["events"],
        "additionalProperties": False,
    }


_FORMATS = jsonschema.FormatChecker(formats=())


def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(UUID(value))


_FORMATS.checks("uuid", raises=ValueError)(_is_uuid)
