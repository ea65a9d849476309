"""What objects and answers have from microversion 2.4 on, beside pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cyborg.db import tables
from cyborg.domain.errors import NoFreeHandle, RemoteError
from cyborg.domain.model import Attribute, DeviceProfile
from cyborg.tests.unit.api.harness import (
    ACCELERATOR_ADMIN,
    ADMIN,
    MANAGER,
    MEMBER,
    MINE,
    NOVA,
    NOW,
    OTHER_ACCELERATOR_ADMIN,
    SERVICE,
    USER,
    Api,
    Persona,
    fault,
    text_of,
)
from cyborg.tests.unit.api.rows import (
    ATTRIBUTE,
    BOUND,
    DEPLOYABLE,
    DEVICE,
    DEVICE_OFF,
    GROUPS,
    HANDLE,
    HANDLE_INFO,
    INITIAL,
    PROFILE,
    UNKNOWN,
)
from cyborg.tests.unit.api.test_accelerator_requests import made

V = "2.4"
ARQS = "/v2/accelerator_requests"
PROFILE_PATH = f"/v2/device_profiles/{PROFILE}"
HANDLES = f"/v2/deployables/{DEPLOYABLE}/attach_handles"


def change(api: Api, table: str, where: int, **values: Any) -> None:
    rows = tables.metadata.tables[table]
    with api.database.engine.begin() as connection:
        connection.execute(rows.update().where(rows.c.id == where).values(**values))


class TestUuids:
    def test_deployable(self, api: Api) -> None:
        old = api.get(f"/v2/deployables/{DEPLOYABLE}", version="2.3").json
        new = api.get(f"/v2/deployables/{DEPLOYABLE}", version=V).json
        gone = {"device_id", "parent_id", "root_id"}
        assert set(old) - set(new) == gone
        assert set(new) - set(old) == {
            "device_uuid",
            "resource_class",
            "usage",
            "programmable",
            "programming_state",
            "programming_reason",
        }
        assert (new["device_uuid"], new["resource_class"]) == (DEVICE, "FPGA")

    def test_attribute(self, api: Api) -> None:
        old = api.get(f"/v2/attributes/{ATTRIBUTE}", version="2.3").json
        new = api.get(f"/v2/attributes/{ATTRIBUTE}", version=V).json
        assert old.pop("deployable_id") == 1
        assert new.pop("deployable_uuid") == DEPLOYABLE
        assert old == new

    @pytest.mark.parametrize("wrapped", [True, False])
    @pytest.mark.parametrize("field", ["deployable_uuid", "deployable_id"])
    def test_create_attribute(self, api: Api, field: str, wrapped: bool) -> None:
        api.conductor.answers["create_attribute"] = Attribute(
            9, ATTRIBUTE, 1, DEPLOYABLE, "k", "v", NOW, None
        )
        body: dict[str, Any] = {field: DEPLOYABLE, "key": "k", "value": "v"}
        response = api.request(
            "POST", "/v2/attributes", body={"attribute": body} if wrapped else body, version=V
        )
        assert response.status_int == 201
        assert response.json["deployable_uuid"] == DEPLOYABLE
        assert api.conductor.calls == [("create_attribute", (DEPLOYABLE, "k", "v"))]

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"deployable_id": DEPLOYABLE, "deployable_uuid": DEPLOYABLE},
            {"deployable_uuid": "x"},
            {"deployable_uuid": 1},
            {"deployable_uuid": DEPLOYABLE, "more": 1},
        ],
    )
    def test_bad_attribute(self, api: Api, more: dict[str, Any]) -> None:
        body = {"key": "k", "value": "v", **more}
        response = api.request("POST", "/v2/attributes", body=body, version=V)
        assert response.status_int == 400
        assert api.conductor.calls == []


class TestUsage:
    def test_of_devices_and_deployables(self, api: Api) -> None:
        usage = {"total": 1, "used": 1, "free": 0}
        nothing = {"total": 0, "used": 0, "free": 0}
        devices = api.get("/v2/devices", version=V).json["devices"]
        assert [device["usage"] for device in devices] == [usage, nothing]
        assert api.get(f"/v2/devices/{DEVICE_OFF}", version=V).json["usage"] == nothing
        assert api.get(f"/v2/deployables/{DEPLOYABLE}", version=V).json["usage"] == usage
        assert "usage" not in api.get(f"/v2/devices/{DEVICE}", version="2.3").json

    @pytest.mark.parametrize(
        ("table", "values"),
        [
            ("devices", {"status": "maintaining"}),
            ("devices", {"presence": "missing"}),
            ("devices", {"condition": "failed"}),
            ("deployables", {"programming_state": "programming"}),
            ("deployables", {"content_unknown": True}),
            ("attach_handles", {"condition": "unclean"}),
            ("attach_handles", {"condition": "quarantined"}),
        ],
    )
    def test_what_nobody_gets_is_not_free(
        self, api: Api, table: str, values: dict[str, Any]
    ) -> None:
        change(api, "attach_handles", 1, accelerator_request_id=None)
        paths = (f"/v2/devices/{DEVICE}", f"/v2/deployables/{DEPLOYABLE}")
        for path in paths:
            assert api.get(path, version=V).json["usage"] == {"total": 1, "used": 0, "free": 1}
        change(api, table, 1, **values)
        for path in paths:
            assert api.get(path, version=V).json["usage"] == {"total": 1, "used": 0, "free": 0}

    @pytest.mark.parametrize(
        ("table", "values"),
        [
            ("devices", {"presence": "suspect", "condition": "degraded"}),
            ("devices", {"condition": "healthy"}),
            ("deployables", {"programming_state": "failed"}),
        ],
    )
    def test_what_a_bind_gets_is_free(self, api: Api, table: str, values: dict[str, Any]) -> None:
        change(api, "attach_handles", 1, accelerator_request_id=None)
        change(api, table, 1, **values)
        usage = api.get(f"/v2/devices/{DEVICE}", version=V).json["usage"]
        assert usage == {"total": 1, "used": 0, "free": 1}

    def test_what_has_vanished_is_not_counted(self, api: Api) -> None:
        change(api, "attach_handles", 1, condition="vanished")
        path = f"/v2/devices/{DEVICE}"
        assert api.get(path, version=V).json["usage"] == {"total": 1, "used": 1, "free": 0}
        change(api, "attach_handles", 1, accelerator_request_id=None)
        assert api.get(path, version=V).json["usage"] == {"total": 0, "used": 0, "free": 0}

    def test_what_somebody_has_stays_used(self, api: Api) -> None:
        change(api, "devices", 1, presence="missing", condition="failed", status="maintaining")
        usage = api.get(f"/v2/devices/{DEVICE}", version=V).json["usage"]
        assert usage == {"total": 1, "used": 1, "free": 0}

    def test_attach_handles(self, api: Api) -> None:
        assert api.get(HANDLES, version=V).json == {
            "attach_handles": [
                {
                    "uuid": HANDLE,
                    "type": "PCI",
                    "info": HANDLE_INFO,
                    "state": "used",
                    "state_reason": None,
                    "accelerator_request_uuid": BOUND,
                    "created_at": "2026-11-22T23:45:18.339187+00:00",
                    "updated_at": None,
                }
            ]
        }

    @pytest.mark.parametrize(
        ("persona", "owner"),
        [(ADMIN, BOUND), (ACCELERATOR_ADMIN, BOUND), (OTHER_ACCELERATOR_ADMIN, None)],
    )
    def test_an_owner_is_for_those_who_may_see_it(
        self, api: Api, persona: Persona, owner: str | None
    ) -> None:
        [handle] = api.get(HANDLES, persona, version=V).json["attach_handles"]
        assert (handle["state"], handle["accelerator_request_uuid"]) == ("used", owner)

    @pytest.mark.parametrize(
        ("values", "state"),
        [
            ({"accelerator_request_id": 6}, "cleaning"),
            ({"accelerator_request_id": None}, "free"),
            ({"accelerator_request_id": None, "condition": "unclean"}, "cleaning"),
            ({"accelerator_request_id": None, "condition": "quarantined"}, "quarantined"),
            ({"accelerator_request_id": None, "condition": "vanished"}, "vanished"),
        ],
    )
    def test_states(self, api: Api, values: dict[str, Any], state: str) -> None:
        change(api, "attach_handles", 1, condition_reason="why", **values)
        [handle] = api.get(HANDLES, version=V).json["attach_handles"]
        assert (handle["state"], handle["state_reason"]) == (state, "why")
        assert handle["accelerator_request_uuid"] is None

    @pytest.mark.parametrize(
        ("path", "version", "status"),
        [
            (HANDLES, "2.3", 404),
            (HANDLES.replace(DEPLOYABLE, UNKNOWN), V, 404),
            (HANDLES.replace(DEPLOYABLE, "x"), V, 400),
            (HANDLES + "/x", V, 404),
        ],
    )
    def test_no_such_handles(self, api: Api, path: str, version: str, status: int) -> None:
        assert api.get(path, version=version).status_int == status


class TestRequests:
    def test_old_ones_do_not_have_it(self, api: Api) -> None:
        old = api.get(f"{ARQS}/{BOUND}", version="2.3").json
        new = api.get(f"{ARQS}/{BOUND}", version=V).json
        assert set(new) - set(old) == {"created_by", "state_reason", "bound_at"}
        assert set(old) <= set(new)

    def test_why_and_when(self, api: Api) -> None:
        change(api, "accelerator_requests", 2, bound_at=NOW, created_by_service=True)
        change(api, "accelerator_requests", 4, state_reason="The device does not answer.")
        found = {arq["uuid"]: arq for arq in api.get(ARQS, version=V).json["arqs"]}
        assert found[BOUND]["bound_at"] == "2026-11-22T23:45:18.339187+00:00"
        assert found[BOUND]["created_by"] == "service"
        assert found[BOUND]["state_reason"] is None
        assert (found[INITIAL]["created_by"], found[INITIAL]["bound_at"]) == ("user", None)
        [started] = [arq for arq in found.values() if arq["state"] == "BindStarted"]
        assert started["state_reason"] == "The device does not answer."

    @pytest.mark.parametrize("condition", ["ready", "vanished"])
    def test_what_has_become_of_the_handle(self, api: Api, condition: str) -> None:
        why = "Its device has moved to 0000:0d:00.0."
        change(api, "attach_handles", 1, condition=condition, condition_reason=why)
        with api.statements() as statements:
            found = {arq["uuid"]: arq for arq in api.get(ARQS, version=V).json["arqs"]}
        assert len(statements) == 1
        assert found[BOUND]["state_reason"] == why
        assert {arq["state_reason"] for arq in found.values()} == {why, None}
        assert api.get(f"{ARQS}/{BOUND}", version=V).json["state_reason"] == why
        assert "state_reason" not in api.get(f"{ARQS}/{BOUND}", version="2.3").json

    def test_its_own_reason_comes_first(self, api: Api) -> None:
        change(api, "attach_handles", 1, condition_reason="Its device has moved.")
        change(api, "accelerator_requests", 2, state_reason="The device does not answer.")
        found = api.get(f"{ARQS}/{BOUND}", version=V).json
        assert found["state_reason"] == "The device does not answer."

    def test_a_handle_without_a_reason_gives_none(self, api: Api) -> None:
        change(api, "attach_handles", 1, condition="vanished")
        assert api.get(f"{ARQS}/{BOUND}", version=V).json["state_reason"] is None

    @pytest.mark.parametrize(
        ("persona", "by_service"), [(NOVA, True), (SERVICE, True), (USER, False), (ADMIN, False)]
    )
    def test_who_made_it(self, api: Api, persona: Persona, by_service: bool) -> None:
        api.conductor.answers["create_accelerator_requests"] = [made(INITIAL)]
        api.request("POST", ARQS, persona, body={"device_profile_name": "fpga"}, version=V)
        calls = api.conductor.calls
        assert calls == [("create_accelerator_requests", ("fpga", MINE, by_service))]

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            ({"device_profile_group_id": None}, 201),
            ({"device_profile_group_id": 0}, 400),
            ({"x": 1}, 400),
        ],
    )
    def test_unknown_fields(self, api: Api, more: dict[str, Any], status: int) -> None:
        api.conductor.answers["create_accelerator_requests"] = [made(INITIAL)]
        body = {"device_profile_name": "fpga", **more}
        response = api.request("POST", ARQS, body=body, version=V)
        assert response.status_int == status
        assert api.request("POST", ARQS, body=body, version="2.3").status_int == 201


class TestPatchOfProfiles:
    changed = DeviceProfile(1, PROFILE, "new", "d", tuple(GROUPS), NOW, NOW)

    def patch(self, api: Api, body: object, path: str = PROFILE_PATH, **kw: Any) -> Any:
        api.conductor.answers["update_device_profile"] = self.changed
        return api.request("PATCH", path, body=body, version=kw.pop("version", V), **kw)

    @pytest.mark.parametrize("segment", [PROFILE, "fpga", PROFILE.replace("-", "")])
    def test_everything(self, api: Api, segment: str) -> None:
        body = [
            {"op": "replace", "path": "/name", "value": "new"},
            {"op": "add", "path": "/description", "value": "d"},
            {"op": "replace", "path": "/groups", "value": GROUPS},
        ]
        response = self.patch(api, body, f"/v2/device_profiles/{segment}")
        assert response.status_int == 200
        assert response.json["device_profile"]["name"] == "new"
        changes = {"name": "new", "description": "d", "groups": GROUPS}
        assert api.conductor.calls == [("update_device_profile", (PROFILE, changes))]

    def test_remove_the_description(self, api: Api) -> None:
        assert self.patch(api, [{"op": "remove", "path": "/description"}]).status_int == 200
        assert api.conductor.calls == [("update_device_profile", (PROFILE, {"description": None}))]

    @pytest.mark.parametrize(
        "body",
        [
            [],
            {},
            {"description": "d"},
            ["x"],
            [{}],
            [{"op": "replace", "path": "/uuid", "value": UNKNOWN}],
            [{"op": "replace", "path": "description", "value": "d"}],
            [{"op": "replace", "path": ["/name"], "value": "d"}],
            [{"op": "test", "path": "/name", "value": "fpga"}],
            [{"op": "move", "path": "/name", "from": "/description"}],
            [{"op": "remove", "path": "/name"}],
            [{"op": "remove", "path": "/description", "value": "d"}],
            [{"op": "replace", "path": "/name"}],
            [{"op": "replace", "path": "/name", "value": "a", "more": 1}],
            [{"op": "replace", "path": "/name", "value": n} for n in ("a", "b")],
        ],
    )
    def test_bad_bodies(self, api: Api, body: object) -> None:
        response = self.patch(api, body)
        assert response.status_int == 400
        fault(response, coded=True)
        assert api.conductor.calls == []

    @pytest.mark.parametrize("segment", [UNKNOWN, "nothing"])
    def test_unknown(self, api: Api, segment: str) -> None:
        body = [{"op": "remove", "path": "/description"}]
        assert self.patch(api, body, f"/v2/device_profiles/{segment}").status_int == 404

    @pytest.mark.parametrize("version", ["2.0", "2.3"])
    def test_there_is_none_before(self, api: Api, version: str) -> None:
        response = self.patch(api, [], version=version)
        assert response.status_int == 405
        assert response.headers["Allow"] == "DELETE, GET"

    @pytest.mark.parametrize(
        ("persona", "status"), [(ADMIN, 200), (MANAGER, 403), (MEMBER, 403), (NOVA, 403)]
    )
    def test_who_may(self, api: Api, persona: Persona, status: int) -> None:
        body = [{"op": "remove", "path": "/description"}]
        assert self.patch(api, body, persona=persona).status_int == status


class TestCodes:
    def test_of_the_conductors_errors(self, api: Api) -> None:
        api.conductor.answers["set_device_status"] = RemoteError("x", NoFreeHandle.code, 409)
        path = f"/v2/devices/{DEVICE}/enable"
        response = api.request("POST", path, version=V)
        assert fault(response, coded=True)["code"] == "cyborg.arq.no_free_handle"
        fault(api.request("POST", path, version="2.3"))

    @pytest.mark.parametrize(
        ("method", "path", "code"),
        [
            ("GET", "/v2/nothing", "cyborg.not_found"),
            ("GET", f"/v2/devices/{UNKNOWN}", "cyborg.device.not_found"),
            ("PUT", "/v2/devices", "cyborg.method_not_allowed"),
            ("GET", "/v2/devices?x=1", "cyborg.invalid_input"),
            ("POST", "/v2/device_profiles", "cyborg.invalid_input"),
        ],
    )
    def test_of_our_own(self, api: Api, method: str, path: str, code: str) -> None:
        response = api.request(method, path, version=V)
        assert fault(response, coded=True)["code"] == code
        fault(api.request(method, path))

    def test_of_libraries(self, api: Api) -> None:
        raw = b'"' + b"x" * 120_000 + b'"'
        response = api.request("POST", ARQS, raw=raw, version=V)
        assert response.status_int == 413
        assert fault(response, coded=True)["code"] == "cyborg.request_too_large"

    def test_of_a_media_type(self, api: Api) -> None:
        response = api.request(
            "POST", ARQS, raw=b"{}", headers={"Content-Type": "text/plain"}, version=V
        )
        assert response.status_int == 415
        assert fault(response, coded=True)["code"] == "cyborg.unsupported_media_type"

    def test_the_text_is_the_same(self, api: Api) -> None:
        path = f"/v2/devices/{UNKNOWN}"
        old, new = api.get(path), api.get(path, version=V)
        texts = [json.loads(r.json["error_message"])["faultstring"] for r in (old, new)]
        assert texts[0] == texts[1] == f"Device {UNKNOWN} could not be found."
        assert text_of(old) == texts[0]


def test_a_name_that_looks_like_a_uuid(api: Api) -> None:
    change(api, "device_profiles", 2, name=UNKNOWN)
    for version in ("2.0", V):
        response = api.get(f"/v2/device_profiles/{UNKNOWN}", version=version)
        assert response.json["device_profile"]["name"] == UNKNOWN
