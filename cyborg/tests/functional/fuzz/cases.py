"""What is sent: schemathesis's cases, of which many are about something that exists.

Drawn at random, a uuid names nothing, and nearly every answer would be 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.parameters import ParameterLocation

from cyborg.api import microversions
from cyborg.api.microversions import PROJECT_IN_PATCH, V2_4, Version
from cyborg.domain.clock import provider_uuid
from cyborg.tests.functional.fuzz.world import BLANK, MINE, OTHERS, Known
from cyborg.tests.helpers import HOST

AnyCase = Case[Any]
AnyOperation = APIOperation[Any, Any, Any, Any]

UNKNOWN = "99999999-9999-4999-8999-999999999999"

#: What a schema does not say of a text: the JSON in it.
FILTERS = [
    '{"field": "limit", "value": 1}',
    '[{"field": "sort_key", "value": "uuid"}, {"field": "sort_dir", "value": "desc"}]',
    '{"field": "name", "value": "\\ud800"}',
    '{"field": "name", "value": [null]}',
    '{"field": "limit", "value": 1e999}',
]


def cases(operation: AnyOperation, known: Known, version: Version) -> st.SearchStrategy[AnyCase]:
    """Return what can be sent for an operation, valid and not.

    The version is not drawn: without the header, or with another, another document applies.
    """
    headers = {microversions.HEADER: header(version)}
    drawn = st.one_of(
        [operation.as_strategy(generation_mode=mode, headers=headers) for mode in GenerationMode]
    )
    return _about_something(drawn, known, version)


def header(version: Version) -> str:
    """Return the value of the version's header."""
    return f"{microversions.SERVICE_TYPE} {microversions.text(version)}"


def good(operation: AnyOperation, known: Known, version: Version) -> AnyCase:
    """Return a request that succeeds, where any can."""
    case: AnyCase = operation.Case(
        path_parameters={"uuid": _good_segment(operation, known), "segment": "anything"},
        headers={microversions.HEADER: header(version)},
        media_type="application/json",
    )
    match operation.label:
        case "DELETE /device_profiles":
            case.query = {"value": "spare"}
        case "DELETE /accelerator_requests":
            case.query = {"instance": known.instances[0]}
        case _:
            body = _good_body(operation.label, known)
            if body is not None:
                case.body = body
    return case


def _good_segment(operation: AnyOperation, known: Known) -> str:
    match operation.label:
        case "DELETE /attributes/{uuid}":
            return known.own_attributes[0]
        case "DELETE /device_profiles/{uuid}":
            return "spare"
        case "PATCH /deployables/{uuid}/program" | "PATCH /deployables/{uuid}/program/{segment}":
            return provider_uuid(BLANK)
        case "GET /device_profiles/{uuid}":
            return known.profiles[0]
        case _:
            return _segments(operation.path, known)[0]


def _good_body(label: str, known: Known) -> Any:
    unbind = {known.bindable[0]: [{"op": "remove", "path": "/hostname"}]}
    program = [{"op": "replace", "path": "/program", "value": [{"image_uuid": UNKNOWN}]}]
    bodies: dict[str, Any] = {
        "POST /attributes": {"deployable_id": known.deployables[0], "key": "k", "value": "v"},
        "POST /device_profiles": [{"name": "new", "groups": [{"resources:FPGA": "1"}]}],
        "PATCH /device_profiles/{uuid}": [{"op": "remove", "path": "/description"}],
        "POST /accelerator_requests": {"device_profile_name": "one"},
        "PATCH /accelerator_requests": unbind,
        "PATCH /accelerator_requests/{uuid}": unbind,
        "PATCH /deployables/{uuid}/program": program,
        "PATCH /deployables/{uuid}/program/{segment}": program,
    }
    return bodies.get(label)


@st.composite
def _about_something(
    draw: st.DrawFn, drawn: st.SearchStrategy[AnyCase], known: Known, version: Version
) -> AnyCase:
    case = draw(drawn)
    meta = case.meta
    assert meta is not None
    if case.path_parameters and not meta.is_negative_at(ParameterLocation.PATH) and _often(draw):
        case.path_parameters = {
            **case.path_parameters,
            "uuid": draw(st.sampled_from(_segments(case.path, known))),
        }
    if case.query and not meta.is_negative_at(ParameterLocation.QUERY):
        case.query = _query(draw, case, known)
    if not meta.is_negative_at(ParameterLocation.BODY) and _often(draw):
        body = _body(draw, case, known, version)
        if body is not None:
            case.body = body
    return case


def _often(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 4)) > 0


def _segments(path: str, known: Known) -> list[str]:
    """Return what can be in a path."""
    match path.split("/")[1]:
        case "devices":
            return known.devices
        case "deployables":
            return known.deployables
        case "attributes":
            return known.attributes
        case "device_profiles":
            return [*known.profiles, *known.names]
        case _:
            return known.arqs


def _query(draw: st.DrawFn, case: AnyCase, known: Known) -> dict[str, Any]:
    values: Mapping[str, list[str]] = {
        "instance": [*known.instances, UNKNOWN],
        "marker": _segments(case.path, known),
        "deployable_uuid": known.deployables,
        "device_uuid": known.devices,
        "rp_uuid": known.deployables,
        "hostname": [HOST],
        "project_id": [MINE, OTHERS],
        "device_profile_name": known.names,
        "name": known.names,
        "value": known.names,
        "arqs": known.arqs,
        "key": ["colour", "rc"],
        "type": ["FPGA"],
        "resource_class": ["FPGA"],
        "filters": FILTERS,
    }
    if case.path.endswith("/attach_handles"):
        values = {"marker": known.handles}
    query = {
        name: draw(st.sampled_from(values[name])) if name in values and _often(draw) else value
        for name, value in case.query.items()
    }
    # One of them, and not both: no schema of parameters can say so.
    if case.method == "DELETE" and "arqs" in query and "instance" in query and _often(draw):
        del query[draw(st.sampled_from(("arqs", "instance")))]
    return query


def _body(draw: st.DrawFn, case: AnyCase, known: Known, version: Version) -> Any:
    match case.method, case.path:
        case "POST", "/accelerator_requests":
            return {"device_profile_name": draw(st.sampled_from(known.names))}
        case "POST", "/attributes" if isinstance(case.body, dict):
            return _attribute(draw, case.body, known, version)
        case "PATCH", "/accelerator_requests" | "/accelerator_requests/{uuid}":
            return _change(draw, known, version)
    return None


def _attribute(
    draw: st.DrawFn, body: dict[str, Any], known: Known, version: Version
) -> dict[str, Any]:
    if "attribute" in body:
        return {**body, "attribute": _attribute(draw, body["attribute"], known, version)}
    names = ["deployable_id"] + ["deployable_uuid"] * (version >= V2_4)
    rest = {name: value for name, value in body.items() if name not in names}
    return {**rest, draw(st.sampled_from(names)): draw(st.sampled_from(known.deployables))}


def _change(draw: st.DrawFn, known: Known, version: Version) -> dict[str, Any]:
    """Return a bind or an unbind of requests, as clients send it."""
    arqs = draw(st.lists(st.sampled_from(known.arqs), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        # One that can be bound, and most often to what is there.
        arqs = [draw(st.sampled_from(known.bindable))]
    values = {
        "hostname": HOST if _often(draw) else "elsewhere",
        "device_rp_uuid": draw(st.sampled_from([*known.deployables, UNKNOWN])),
        "instance_uuid": draw(st.sampled_from([UNKNOWN, *known.instances])),
    }
    if version >= PROJECT_IN_PATCH and not _often(draw):
        values["project_id"] = draw(st.sampled_from([MINE, OTHERS]))
    names = draw(st.permutations(list(values)))
    if draw(st.booleans()):
        patch = [{"op": "add", "path": f"/{name}", "value": values[name]} for name in names]
    else:
        patch = [{"op": "remove", "path": f"/{name}"} for name in names]
    return dict.fromkeys(arqs, patch)
