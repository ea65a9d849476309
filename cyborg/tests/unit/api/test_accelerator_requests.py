"""Accelerator requests, as an administrator or Nova uses them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cyborg.domain.errors import RemoteError
from cyborg.domain.model import AcceleratorRequest
from cyborg.domain.states import ArqState
from cyborg.tests.unit.api.harness import (
    ADMIN,
    ADMIN_ELSEWHERE,
    MANAGER,
    MEMBER,
    MINE,
    NOVA,
    NOW,
    OTHERS,
    Api,
    Persona,
    fault,
    text_of,
)
from cyborg.tests.unit.api.rows import (
    BOUND,
    DELETING,
    DEPLOYABLE,
    DIRECT,
    GROUPS,
    HANDLE,
    HANDLE_INFO,
    INITIAL,
    INSTANCE,
    OTHERS_INITIAL,
    STARTED,
    STARTED_INSTANCE,
    STARTED_TOO,
    UNKNOWN,
)

PATH = "/v2/accelerator_requests"
TIME = "2026-11-22T23:45:18.339187+00:00"
BINDING = {"hostname": "node1", "device_rp_uuid": DEPLOYABLE, "instance_uuid": INSTANCE}
BOUND_WIRE = {
    "uuid": BOUND,
    "state": "Bound",
    "device_profile_name": "fpga",
    "device_profile_group_id": 0,
    "hostname": "node1",
    "device_rp_uuid": DEPLOYABLE,
    "instance_uuid": INSTANCE,
    "project_id": MINE,
    "attach_handle_type": "PCI",
    "attach_handle_uuid": HANDLE,
    "attach_handle_info": HANDLE_INFO,
    "links": [{"href": f"http://localhost{PATH}/{BOUND}", "rel": "self"}],
    "created_at": TIME,
    "updated_at": None,
}
NOTHING_ATTACHED: dict[str, object] = {
    "attach_handle_type": "",
    "attach_handle_uuid": None,
    "attach_handle_info": {},
}


def patch(*uuids: str, op: str = "add", **more: object) -> dict[str, Any]:
    values = {**BINDING, **more}
    operations = [{"path": f"/{name}", "op": op, "value": v} for name, v in values.items()]
    return dict.fromkeys(uuids, operations)


def made(uuid: str) -> AcceleratorRequest:
    return AcceleratorRequest(
        uuid=uuid,
        state=ArqState.INITIAL,
        device_profile_name="fpga",
        device_profile_group_id=0,
        group=GROUPS[0],
        project_id=MINE,
        hostname=None,
        device_rp_uuid=None,
        instance_uuid=None,
        bound_by_service=False,
        created_by_service=True,
        bound_at=None,
        state_reason=None,
        generation=1,
        attach_handle=None,
        created_at=NOW,
        updated_at=None,
    )


class TestCreate:
    def test_create(self, api: Api) -> None:
        api.conductor.answers["create_accelerator_requests"] = [made(INITIAL), made(BOUND)]
        body = {"device_profile_name": "fpga", "device_profile_group_id": None}
        with api.statements() as statements:
            response = api.request("POST", PATH, NOVA, body=body)
        assert response.status_int == 201
        assert [arq["uuid"] for arq in response.json["arqs"]] == [INITIAL, BOUND]
        first = response.json["arqs"][0]
        assert first["state"] == "Initial"
        assert {name: first[name] for name in NOTHING_ATTACHED} == NOTHING_ATTACHED
        assert set(first) == set(BOUND_WIRE)
        assert api.conductor.calls == [("create_accelerator_requests", ("fpga", MINE, True))]
        assert statements == []

    @pytest.mark.parametrize("name", ["", "a b", "a%", "x" * 256, "é", "a\n", "'; drop"])
    def test_impossible_name(self, api: Api, name: str) -> None:
        response = api.request("POST", PATH, body={"device_profile_name": name})
        assert response.status_int == 404
        fault(response)
        assert api.conductor.calls == []

    def test_unknown_name(self, api: Api) -> None:
        api.conductor.answers["create_accelerator_requests"] = RemoteError("gone", "x", 404)
        response = api.request("POST", PATH, body={"device_profile_name": "none"})
        assert response.status_int == 404

    @pytest.mark.parametrize("body", [{}, [], {"device_profile_name": None}, {"x": 1}, [{}]])
    def test_bad_body(self, api: Api, body: object) -> None:
        response = api.request("POST", PATH, raw=json.dumps(body).encode())
        assert response.status_int == 400
        assert api.conductor.calls == []

    @pytest.mark.parametrize("name", [5, True, [], {}])
    def test_name_that_is_no_string(self, api: Api, name: object) -> None:
        assert api.request("POST", PATH, body={"device_profile_name": name}).status_int == 400


class TestRead:
    def test_list(self, api: Api) -> None:
        with api.statements() as statements:
            arqs = api.get(PATH).json["arqs"]
        uuids = [arq["uuid"] for arq in arqs]
        assert uuids == [INITIAL, BOUND, DIRECT, STARTED, OTHERS_INITIAL, STARTED_TOO]
        assert arqs[1] == BOUND_WIRE
        assert len(statements) == 1

    def test_own_project(self, api: Api) -> None:
        with api.statements() as statements:
            arqs = api.get(PATH, MEMBER).json["arqs"]
        assert {arq["project_id"] for arq in arqs} == {MINE}
        assert len(arqs) == 5
        assert len(statements) == 1

    def test_nova_sees_every_project(self, api: Api) -> None:
        projects = {arq["project_id"] for arq in api.get(PATH, NOVA).json["arqs"]}
        assert projects == {MINE, OTHERS}

    @pytest.mark.parametrize(
        ("query", "uuids"),
        [
            (f"instance={INSTANCE}", [BOUND]),
            (f"instance={INSTANCE.replace('-', '')}", [BOUND]),
            (f"instance={STARTED_INSTANCE}", [STARTED, STARTED_TOO]),
            (f"instance={UNKNOWN}", []),
            ("bind_state=resolved", [BOUND, DIRECT, STARTED_TOO]),
            (f"instance={INSTANCE}&bind_state=resolved", [BOUND]),
            (f"instance={UNKNOWN}&bind_state=resolved", []),
        ],
    )
    def test_filters(self, api: Api, query: str, uuids: list[str]) -> None:
        with api.statements() as statements:
            response = api.get(f"{PATH}?{query}")
        assert response.status_int == 200
        assert [arq["uuid"] for arq in response.json["arqs"]] == uuids
        assert len(statements) == 1 + ("resolved" in query and "instance" in query)

    def test_not_resolved_yet(self, api: Api) -> None:
        response = api.get(f"{PATH}?instance={STARTED_INSTANCE}&bind_state=resolved")
        assert response.status_int == 423
        fault(response)

    @pytest.mark.parametrize(
        "query", ["instance=x", "instance=", "bind_state=x", "bind_state=", f"arqs={BOUND}"]
    )
    def test_bad_query(self, api: Api, query: str) -> None:
        assert api.get(f"{PATH}?{query}").status_int == 400

    def test_show(self, api: Api) -> None:
        with api.statements() as statements:
            assert api.get(f"{PATH}/{BOUND}").json == BOUND_WIRE
        assert len(statements) == 1

    def test_nothing_is_attached_unless_bound(self, api: Api) -> None:
        shown = api.get(f"{PATH}/{STARTED}").json
        assert {name: shown[name] for name in NOTHING_ATTACHED} == NOTHING_ATTACHED

    @pytest.mark.parametrize(("uuid", "status"), [(UNKNOWN, 404), (DELETING, 404), ("x", 400)])
    def test_unknown(self, api: Api, uuid: str, status: int) -> None:
        response = api.get(f"{PATH}/{uuid}")
        assert response.status_int == status
        fault(response)


class TestPatch:
    @pytest.mark.parametrize("segment", ["", f"/{INITIAL}", "/anything", "/"])
    def test_bind(self, api: Api, segment: str) -> None:
        with api.statements() as statements:
            response = api.request("PATCH", PATH + segment, NOVA, body=patch(INITIAL, DIRECT))
        assert (response.status_int, response.body) == (202, b"")
        assert "Content-Type" not in response.headers
        bindings = {INITIAL: BINDING, DIRECT: BINDING}
        assert api.conductor.calls == [("bind", (bindings, MINE, True))]
        assert len(statements) == 1

    @pytest.mark.parametrize("segment", ["", f"/{INITIAL}"])
    def test_unbind(self, api: Api, segment: str) -> None:
        with api.statements() as statements:
            body = patch(BOUND, INITIAL, op="remove")
            response = api.request("PATCH", PATH + segment, NOVA, body=body)
        assert (response.status_int, response.body) == (202, b"")
        assert api.conductor.calls == [("unbind", [BOUND, INITIAL])]
        assert len(statements) == 1

    def test_the_owner_is_the_caller_whom_a_service_serves(self, api: Api) -> None:
        """The ARQ may have been made by an administrator, the instance is the user's."""
        api.request("PATCH", PATH, NOVA, body=patch(OTHERS_INITIAL))
        assert api.conductor.calls[0][1][1:] == (MINE, True)

    def test_the_owner_without_a_service_is_the_arqs(self, api: Api) -> None:
        api.request("PATCH", PATH, MANAGER, body=patch(INITIAL))
        assert api.conductor.calls[0][1][1:] == (MINE, False)

    @pytest.mark.parametrize(
        ("persona", "certain"),
        [
            (NOVA, True),
            (MANAGER, True),
            (ADMIN.with_service_token(), False),
            (ADMIN_ELSEWHERE.with_service_token(), False),
            (ADMIN, False),
        ],
    )
    def test_an_administrator_may_not_be_the_owner(
        self, api: Api, persona: Persona, certain: bool
    ) -> None:
        """Who evacuates a server, for example, does not own it."""
        assert api.request("PATCH", PATH, persona, body=patch(INITIAL)).status_int == 202
        assert api.conductor.owner_is_certain is certain

    def test_an_owner_that_was_said_is_certain(self, api: Api) -> None:
        body = patch(INITIAL, project_id="e" * 32)
        persona = ADMIN.with_service_token()
        response = api.request("PATCH", PATH, persona, body=body, version="2.1")
        assert response.status_int == 202
        assert api.conductor.owner_is_certain is True

    @pytest.mark.parametrize("project", ["e" * 32, "eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee"])
    def test_the_owner_can_be_said(self, api: Api, project: str) -> None:
        persona = ADMIN.with_service_token()
        body = patch(INITIAL, project_id=project)
        response = api.request("PATCH", PATH, persona, body=body, version="2.1")
        assert response.status_int == 202
        assert api.conductor.calls[0][1][1] == project

    def test_project_is_of_2_1(self, api: Api) -> None:
        body = patch(INITIAL, project_id="e" * 32)
        response = api.request("PATCH", PATH, ADMIN, body=body)
        assert response.status_int == 406
        assert "2.1" in text_of(response)
        assert api.conductor.calls == []

    def test_project_is_for_admins(self, api: Api) -> None:
        body = patch(INITIAL, project_id="e" * 32)
        response = api.request("PATCH", PATH, NOVA, body=body, version="2.1")
        assert response.status_int == 403
        assert "admin" in text_of(response)
        assert api.conductor.calls == []

    @pytest.mark.parametrize("uuid", [UNKNOWN, DELETING])
    @pytest.mark.parametrize("op", ["add", "remove"])
    def test_unknown(self, api: Api, uuid: str, op: str) -> None:
        response = api.request("PATCH", PATH, NOVA, body=patch(INITIAL, uuid, op=op))
        assert response.status_int == 404
        assert uuid in text_of(response)
        assert INITIAL not in text_of(response)
        assert api.conductor.calls == []

    @pytest.mark.parametrize("body", [[], {}, {INITIAL: []}, {"x": []}, {INITIAL: [1]}])
    def test_bad_body(self, api: Api, body: object) -> None:
        with api.statements() as statements:
            response = api.request("PATCH", PATH, NOVA, raw=json.dumps(body).encode())
        assert response.status_int == 400
        assert statements == []

    def test_conflict(self, api: Api) -> None:
        api.conductor.answers["bind"] = RemoteError("held", "cyborg.arq.state_conflict", 409)
        assert api.request("PATCH", PATH, NOVA, body=patch(BOUND)).status_int == 409


class TestDelete:
    @pytest.mark.parametrize("path", [f"{PATH}/{INITIAL}", f"{PATH}?arqs={INITIAL}"])
    def test_one(self, api: Api, path: str) -> None:
        with api.statements() as statements:
            response = api.request("DELETE", path, NOVA)
        assert (response.status_int, response.body) == (204, b"")
        assert api.conductor.calls == [("delete_accelerator_requests", [INITIAL])]
        assert len(statements) == 1

    def test_many(self, api: Api) -> None:
        with api.statements() as statements:
            response = api.request("DELETE", f"{PATH}?arqs={BOUND},{INITIAL},{BOUND}", NOVA)
        assert response.status_int == 204
        assert api.conductor.calls == [("delete_accelerator_requests", [INITIAL, BOUND])]
        assert len(statements) == 1

    @pytest.mark.parametrize("bad", [UNKNOWN, DELETING, "nonsense"])
    def test_those_that_exist_go_before_the_404(self, api: Api, bad: str) -> None:
        response = api.request("DELETE", f"{PATH}?arqs={bad},{INITIAL}", NOVA)
        assert response.status_int == 404
        assert bad in text_of(response)
        assert INITIAL not in text_of(response)
        assert api.conductor.calls == [("delete_accelerator_requests", [INITIAL])]

    def test_gone_meanwhile(self, api: Api) -> None:
        api.conductor.answers["delete_accelerator_requests"] = [INITIAL]
        response = api.request("DELETE", f"{PATH}?arqs={BOUND},{INITIAL}", NOVA)
        assert response.status_int == 404
        assert BOUND not in text_of(response)

    @pytest.mark.parametrize("segment", [UNKNOWN, "nonsense"])
    def test_none_exists(self, api: Api, segment: str) -> None:
        assert api.request("DELETE", f"{PATH}/{segment}", NOVA).status_int == 404
        assert api.conductor.calls == []

    @pytest.mark.parametrize(
        ("instance", "found"),
        [(INSTANCE, [BOUND]), (STARTED_INSTANCE, [STARTED, STARTED_TOO]), (UNKNOWN, [])],
    )
    def test_of_an_instance(self, api: Api, instance: str, found: list[str]) -> None:
        """What was found, and no other: the instance may have new ones by then."""
        with api.statements() as statements:
            response = api.request("DELETE", f"{PATH}?instance={instance}", NOVA)
        assert (response.status_int, response.body) == (204, b"")
        sent = [("delete_accelerator_requests", found)] if found else []
        assert api.conductor.calls == sent
        assert api.conductor.of_instance == (instance if found else None)
        assert len(statements) == 1

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "?arqs=",
            "?arqs=,",
            "?instance=",
            "?instance=x",
            f"?arqs={BOUND}&instance={INSTANCE}",
            "?x=1",
            "?arqs=" + ",".join(f"{BOUND[:-3]}{n:03d}" for n in range(65)),
        ],
    )
    def test_bad_query(self, api: Api, query: str) -> None:
        assert api.request("DELETE", PATH + query, NOVA).status_int == 400
        assert api.conductor.calls == []
