"""What nobody should send: refused with 4xx, without effect, on each kind of database.

Only what differs from one place to the next is here: JSON, uuids, numbers, names, lengths,
queries, paths and headers. What a schema can say is left to ``fuzz``.
"""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import quote

import pytest
import webob

from cyborg.conductor.environment import Environment
from cyborg.domain.profiles import MAX_DESCRIPTION
from cyborg.tests.functional.in_process import ARQS, NAME, PROVIDER, Service
from cyborg.tests.helpers import HOST, deployable, device, profile, report

PROFILES, ATTRIBUTES = "/v2/device_profiles", "/v2/attributes"
FPGA: list[dict[str, Any]] = [{"resources:FPGA": "1"}]
UUID = "12345678-1234-4234-8234-123456789abc"
#: Digits to Python, and to nobody else; "1" first.
WIDE_1, WIDE_UUID = "\uff11", "\uff11" * 32
SURROGATE = "\ud800"
#: What uuid.UUID() takes, and we do not.
NOT_UUIDS: tuple[Any, ...] = (
    f"{{{UUID}}}",
    f"urn:uuid:{UUID}",
    f"{UUID}\n",
    f" {UUID}",
    WIDE_UUID,
    "",
    5,
    [],
    {},
)
#: Nobody else may ask without a token.
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
OLD: dict[str, Any] = {"OpenStack_API_Version": "accelerator 2.0"}


@pytest.fixture
def service(env: Environment) -> Service:
    report(env, device("card", deployable(NAME, 16)))
    profile(env)
    return Service(env)


class Refused:
    """Collects what is answered, to be compared with what should be."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.before = service.rows()
        self.wrong: list[str] = []

    def ask(self, status: int, method: str, path: str, *args: Any, **kw: Any) -> None:
        answer = self.service.ask(method, path, *args, **kw)
        if answer.status_int != status:
            asked = f"{method} {path[:80]} {str(args or kw)[:200]}"
            self.wrong.append(f"{answer.status_int} {asked} {answer.text[:200]}")

    def check(self) -> None:
        assert self.wrong == []
        assert self.service.rows() == self.before


@pytest.fixture
def refused(service: Service) -> Refused:
    return Refused(service)


def group(depth: int) -> Any:
    return [] if depth == 0 else [group(depth - 1)]


def test_json(refused: Refused) -> None:
    for raw in (
        b'[{"name": "x", "name": "y", "groups": [{"resources:FPGA": "1"}]}]',
        b'[{"name": "x", "groups": [{"resources:FPGA": NaN}]}]',
        b'[{"name": "x", "groups": [{"resources:FPGA": 1, "accel:x": -Infinity}]}]',
        b'[{"name": "x", "groups": [{"resources:FPGA": 1, "accel:x": 1e400}]}]',
        b'[{"name": "x", "groups": [{"resources:FPGA": 1, "accel:x": ' + b"9" * 5000 + b"}]}]",
        b"[" * 50_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"\xff",
        b"\xef\xbb\xbf[]",
        json.dumps([{"name": "x", "groups": FPGA}]).encode("utf-16"),
        json.dumps([{"name": "x", "groups": group(17)}]).encode(),
        b"null",
        b"0",
        b'""',
        b"[null]",
    ):
        refused.ask(400, "POST", PROFILES, raw=raw)
        refused.ask(400, "POST", ATTRIBUTES, raw=raw)
        refused.ask(400, "PATCH", ARQS, raw=raw)
        refused.ask(400, "PATCH", f"{PROFILES}/one", raw=raw)
    refused.check()


@pytest.mark.parametrize("bad", ["\0", SURROGATE], ids=["NUL", "surrogate"])
def test_what_no_database_can_store(refused: Refused, bad: str) -> None:
    for body in (
        {"name": bad, "groups": FPGA},
        {"name": "x", "groups": FPGA, "description": bad},
        {"name": "x", "groups": [{**FPGA[0], f"accel:{bad}": "x"}]},
        {"name": "x", "groups": [{**FPGA[0], "accel:x": bad}]},
    ):
        refused.ask(400, "POST", PROFILES, [body])
    for name in ("key", "value"):
        body = {"deployable_uuid": PROVIDER, "key": "k", "value": "v", name: bad}
        refused.ask(400, "POST", ATTRIBUTES, body)
    refused.ask(400, "POST", ARQS, {"device_profile_name": bad})
    refused.ask(400, "PATCH", ARQS, {bad: []})
    change = {"op": "replace", "path": "/description", "value": bad}
    refused.ask(400, "PATCH", f"{PROFILES}/one", [change])
    filters = quote(json.dumps({"field": "name", "value": bad}))
    refused.ask(400, "GET", f"/v2/deployables?filters={filters}", **OLD)
    raw = quote(bad.encode("utf-8", "surrogatepass"))
    for path in ("devices?type=", "device_profiles?name=", "accelerator_requests?hostname="):
        refused.ask(400, "GET", f"/v2/{path}{raw}")
    refused.ask(400, "GET", f"/v2/devices?{raw}=1")
    refused.ask(404, "GET", f"{PROFILES}/{raw}")
    refused.check()


@pytest.mark.parametrize("bad", NOT_UUIDS, ids=repr)
def test_uuids(service: Service, bad: object) -> None:
    [arq] = service.make()
    refused = Refused(service)
    refused.ask(400, "POST", PROFILES, [{"name": "x", "groups": FPGA, "uuid": bad}])
    attribute = {"key": "k", "value": "v"}
    refused.ask(400, "POST", ATTRIBUTES, {**attribute, "deployable_uuid": bad})
    if bad != 5:
        refused.ask(400, "POST", ATTRIBUTES, {**attribute, "deployable_id": bad})
    for name in ("instance_uuid", "device_rp_uuid", "project_id"):
        values = {"hostname": HOST, "device_rp_uuid": PROVIDER, "instance_uuid": UUID, name: bad}
        patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in values.items()]
        refused.ask(400, "PATCH", ARQS, {arq: patch})
    if isinstance(bad, str):
        patch = [{"op": "remove", "path": "/hostname"}]
        refused.ask(400, "PATCH", ARQS, {bad: patch})
        refused.ask(400, "GET", f"/v2/devices?marker={quote(bad)}")
        refused.ask(400, "GET", f"{ARQS}?instance={quote(bad)}")
    if isinstance(bad, str) and bad:
        refused.ask(404, "GET", f"/v2/devices/{quote(bad)}")
        for resource in ("deployables", "attributes", "accelerator_requests"):
            refused.ask(400, "GET", f"/v2/{resource}/{quote(bad)}")
        refused.ask(404, "DELETE", f"{ARQS}?arqs={quote(bad)}")
    refused.check()


@pytest.mark.parametrize("written", [UUID.upper(), UUID.replace("-", "")])
def test_a_uuid_is_stored_in_one_form(service: Service, written: str) -> None:
    answer = service.ask("POST", PROFILES, [{"name": "x", "groups": FPGA, "uuid": written}])
    assert answer.json["uuid"] == UUID
    assert service.ask("GET", f"{PROFILES}/{written}").json["device_profile"]["uuid"] == UUID
    values = {"instance_uuid": written, "device_rp_uuid": PROVIDER.upper()}
    assert service.bind(service.make(), **values).status_int == 202
    [arq] = service.ask("GET", f"{ARQS}?instance={UUID}").json["arqs"]
    assert (arq["instance_uuid"], arq["device_rp_uuid"]) == (UUID, PROVIDER)


def test_numbers(refused: Refused) -> None:
    for bad in (2**63, 2**70, float(2**63), 0, -1, True, 1.5, WIDE_1, "1\n", "+1", "0", None):
        body = {"deployable_id": bad, "key": "k", "value": "v"}
        refused.ask(400, "POST", ATTRIBUTES, body)
    for bad in (WIDE_1, "1.0", "-1", "0", 0, 65, 2**70, 1.5, True, None, "1e1", "0x1", ""):
        refused.ask(400, "POST", PROFILES, [{"name": "x", "groups": [{"resources:FPGA": bad}]}])
    for bad in ("0", "-1", WIDE_1, str(2**31), "9" * 30, "1e3", "+1", "1\n", "", " 1"):
        refused.ask(400, "GET", f"/v2/devices?limit={quote(bad)}")
        refused.ask(400, "GET", f"/v2/devices?limit={quote(bad)}", **OLD)
    for bad in (str(2**63), "9" * 30, "-1", WIDE_1, "1.0"):
        refused.ask(400, "GET", f"{ATTRIBUTES}?deployable_id={quote(bad)}", **OLD)
    refused.check()


def test_the_greatest_numbers_are_taken(service: Service) -> None:
    most = 2**31 - 1
    assert service.ask("GET", f"/v2/devices?limit={most}").status_int == 200
    assert service.ask("GET", f"/v2/devices?limit={most}", **OLD).status_int == 200
    last = 2**63 - 1
    answer = service.ask("GET", f"{ATTRIBUTES}?deployable_id={last}", **OLD)
    assert answer.json == {"attributes": []}
    body = {"deployable_id": last, "key": "k", "value": "v"}
    assert service.ask("POST", ATTRIBUTES, body).status_int == 404


def test_whole_numbers_may_be_written_with_a_point(service: Service) -> None:
    wanted = {"name": "x", "groups": [{"resources:FPGA": 2.0, "accel:x": 2.0}]}
    groups = service.ask("POST", PROFILES, [wanted]).json["groups"]
    assert groups == [{"resources:FPGA": "2", "accel:x": "2.0"}]
    number = service.ask("GET", ATTRIBUTES, **OLD).json["attributes"][0]["deployable_id"]
    body = {"deployable_id": float(number), "key": "k", "value": "v"}
    assert service.ask("POST", ATTRIBUTES, body).status_int == 201


def test_names_and_lengths(service: Service) -> None:
    [arq] = service.make()
    refused = Refused(service)
    names: tuple[Any, ...] = ("x\n", "", "é", WIDE_1, "a" * 256, None, 5, [])
    for bad in names:
        refused.ask(400, "POST", PROFILES, [{"name": bad, "groups": FPGA}])
        change = {"op": "replace", "path": "/name", "value": bad}
        refused.ask(400, "PATCH", f"{PROFILES}/one", [change])
    for key in ("trait:CUSTOM_\n", "trait:CUSTOM_é", "resources:CUSTOM_\u0661", "accel:", "other"):
        wanted = {**FPGA[0], key: "required"}
        refused.ask(400, "POST", PROFILES, [{"name": "x", "groups": [wanted]}])
    long = "x" * (MAX_DESCRIPTION + 1)
    refused.ask(400, "POST", PROFILES, [{"name": "x", "groups": FPGA, "description": long}])
    wide = {**FPGA[0], "accel:x": "x" * 60_000}
    refused.ask(400, "POST", PROFILES, [{"name": "x", "groups": [wide]}])
    for values in ({"key": "k" * 256}, {"key": ""}, {"value": "v" * 256}, {"key": None}):
        body = {"deployable_uuid": PROVIDER, "key": "k", "value": "v", **values}
        refused.ask(400, "POST", ATTRIBUTES, body)
    body = {"deployable_uuid": PROVIDER, "key": "trait1", "value": "CUSTOM_X\n"}
    refused.ask(400, "POST", ATTRIBUTES, body)
    for host, status in (("h" * 256, 400), ("", 400), (f"{HOST}\n", 409), ("é" * 255, 409)):
        values = {"hostname": host, "device_rp_uuid": PROVIDER, "instance_uuid": UUID}
        patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in values.items()]
        refused.ask(status, "PATCH", ARQS, {arq: patch})
    refused.check()


def test_the_longest_are_stored_whole(service: Service) -> None:
    """Characters of four bytes each: a TEXT of MariaDB has 65,535 bytes."""
    widest = "\U0001f600"
    description, name = widest * MAX_DESCRIPTION, "a" * 255
    wanted = [{"name": name, "groups": FPGA, "description": description}]
    raw = json.dumps(wanted, ensure_ascii=False).encode()
    assert service.ask("POST", PROFILES, raw=raw).status_int == 201
    found = service.ask("GET", f"{PROFILES}/{name}").json["device_profile"]
    assert found["description"] == description
    body = {"deployable_uuid": PROVIDER, "key": widest * 255, "value": widest * 255}
    uuid = service.ask("POST", ATTRIBUTES, body).json["uuid"]
    found = service.ask("GET", f"{ATTRIBUTES}/{uuid}").json
    assert (found["key"], found["value"]) == (body["key"], body["value"])
    groups = [{**FPGA[0], "accel:x": "x" * 59_000}]
    answer = service.ask("POST", PROFILES, [{"name": "x", "groups": groups}])
    assert answer.json["groups"] == groups


def test_unknown_fields(refused: Refused) -> None:
    attribute = {"deployable_uuid": PROVIDER, "key": "k", "value": "v"}
    refused.ask(400, "POST", ATTRIBUTES, {"attribute": attribute, "more": 1})
    refused.ask(400, "POST", ATTRIBUTES, {"attribute": {**attribute, "more": 1}})
    refused.ask(400, "POST", ATTRIBUTES, {**attribute, "more": 1})
    refused.ask(400, "POST", PROFILES, [{"name": "x", "groups": FPGA, "more": 1}])
    refused.ask(400, "POST", ARQS, {"device_profile_name": "one", "more": 1})
    refused.check()


def test_unknown_fields_beside_a_wrapped_attribute_are_ignored_before(service: Service) -> None:
    attribute = {"deployable_id": PROVIDER, "key": "k", "value": "v"}
    body = {"attribute": attribute, "more": 1}
    assert service.ask("POST", ATTRIBUTES, body, **OLD).status_int == 201


def test_queries(refused: Refused) -> None:
    for query in (
        "limit=1&limit=1",
        "limit",
        "=",
        "a=1;limit=1",
        "sort=,",
        "sort=",
        "sort=x",
        "sort=uuid:up",
        "sort=uuid%0A",
        "status=Enabled",
        "type=%ff",
        "%ff=1",
        "filters=%7B%7D",
    ):
        refused.ask(400, "GET", f"/v2/devices?{query}")
    for data in (
        "[" * 100_000,
        "null",
        "[[]]",
        '{"field": "limit", "value": 1e400}',
        '{"field": "limit", "value": NaN}',
        '{"field": "limit", "value": %s}' % ("9" * 5000),
        '{"field": [], "value": 1}',
        '{"field": "sort_key", "value": {}}',
    ):
        refused.ask(400, "GET", f"/v2/deployables?filters={quote(data)}", **OLD)
    for query in ("filters[0].field=name", f"filters[{quote(WIDE_1)}].field=name"):
        refused.ask(400, "GET", f"/v2/deployables?{query}", **OLD)
    refused.ask(400, "DELETE", f"{ARQS}?arqs=,")
    refused.ask(400, "DELETE", f"{ARQS}?arqs={UUID}&instance={UUID}")
    refused.ask(400, "DELETE", f"{PROFILES}?value=one,,two")
    refused.ask(404, "DELETE", f"{PROFILES}?value=one,none")
    refused.check()


@pytest.mark.parametrize("query", ["name=one;x", "name=one%3Bx", "name=%zz", "name=%", "&&name=x"])
def test_a_semicolon_or_a_lone_percent_sign_is_text(service: Service, query: str) -> None:
    assert service.ask("GET", f"{PROFILES}?{query}").json == {"device_profiles": []}


def test_paths(refused: Refused) -> None:
    for path in (
        "devices/%2F",
        "devices/a%2Fb",
        "devices/..",
        "devices/%00",
        "devices/%FF",
        f"devices/{'x' * 50_000}",
        "device_profiles/one%0A",
        "device_profiles/one;x",
        "a/" * 5000,
    ):
        refused.ask(404, "GET", f"/v2/{path}")
        refused.ask(404, "DELETE" if "profiles" in path else "GET", f"/v2/{path}")
    refused.check()


def test_headers(service: Service) -> None:
    raw = json.dumps([{"name": "x", "groups": FPGA}]).encode()
    refused = Refused(service)
    for kind in ("", ";;=", "text/plain", "application/json-patch+json", "x" * 50_000):
        refused.ask(415, "POST", PROFILES, raw=raw, Content_Type=kind)
    for bad in ("x" * 50_000, "accelerator \xb2.4", "accelerator 2.04", "accelerator 02.4"):
        refused.ask(406, "GET", PROFILES, OpenStack_API_Version=bad)
    refused.check()
    for number, kind in enumerate(("Application/JSON", "application/json; charset=UTF-8")):
        raw = json.dumps([{"name": f"x{number}", "groups": FPGA}]).encode()
        assert service.ask("POST", PROFILES, raw=raw, Content_Type=kind).status_int == 201
    for accept in ("*/*;q=x", ";", "\xff", "application/*", "x" * 50_000):
        assert service.ask("GET", PROFILES, Accept=accept).status_int == 200


def chunked(service: Service, raw: bytes) -> webob.Response:
    """Send a body as a server hands it on that was sent in chunks, without a length."""
    request = webob.Request.blank(
        PROFILES,
        method="POST",
        environ={
            "CONTENT_TYPE": "application/json",
            **LOCAL,
            "wsgi.input": io.BytesIO(raw),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )
    request.environ.pop("CONTENT_LENGTH", None)
    return request.get_response(service.application)


def test_a_body_without_a_length(service: Service) -> None:
    raw = json.dumps([{"name": "x", "groups": FPGA}]).encode()
    assert chunked(service, raw).status_int == 201
    assert chunked(service, b"[" * 200_000).status_int == 413


@pytest.mark.parametrize("length", ["abc", "-1", "1e3", "", "\xb2"])
def test_a_length_that_is_none(service: Service, length: str) -> None:
    environ = {**LOCAL, "CONTENT_LENGTH": length}
    request = webob.Request.blank(PROFILES, method="POST", environ=environ)
    request.content_type = "application/json"
    assert request.get_response(service.application).status_int == 400
