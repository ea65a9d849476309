"""Devices, deployables and attributes."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from cyborg.domain.errors import RemoteError
from cyborg.domain.model import Attribute, DeviceStatus
from cyborg.tests.unit.api.harness import MEMBER, NOW, Api, fault
from cyborg.tests.unit.api.rows import ATTRIBUTE, DEPLOYABLE, DEVICE, DEVICE_OFF, UNKNOWN

TIME = "2026-11-22T23:45:18.339187+00:00"
WIRE = {
    "uuid": DEVICE,
    "type": "FPGA",
    "vendor": "0xABCD",
    "model": "miss model info",
    "std_board_info": '{"product_id": "0xabcd"}',
    "vendor_board_info": "fake_vendor_info",
    "hostname": "node1",
    "status": "enabled",
    "links": [{"href": f"http://localhost/v2/devices/{DEVICE}", "rel": "self"}],
    "created_at": TIME,
    "updated_at": None,
}


class TestDevices:
    def test_list(self, api: Api) -> None:
        with api.statements() as statements:
            response = api.get("/v2/devices", version="2.3")
        assert response.status_int == 200
        assert next(iter(response.json)) == "devices"
        assert response.json["devices"][0] == WIRE
        assert len(statements) == 1

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("type=FPGA", [DEVICE]),
            ("vendor=10de", [DEVICE_OFF]),
            ("hostname=node1", [DEVICE]),
            ("type=GPU&hostname=node2&vendor=10de", [DEVICE_OFF]),
            ("type=GPU&hostname=node1", []),
            ("type=nothing", []),
            ("hostname=" + "x" * 300, []),
        ],
    )
    def test_filters(self, api: Api, query: str, found: list[str]) -> None:
        devices = api.get(f"/v2/devices?{query}").json["devices"]
        assert [device["uuid"] for device in devices] == found

    @pytest.mark.parametrize("uuid", [DEVICE, DEVICE.replace("-", "")])
    def test_show(self, api: Api, uuid: str) -> None:
        with api.statements() as statements:
            response = api.get(f"/v2/devices/{uuid}", version="2.3")
        assert response.json == WIRE
        assert len(statements) == 1

    @pytest.mark.parametrize("uuid", [UNKNOWN, "nonsense", DEVICE + "0", "1"])
    @pytest.mark.parametrize("action", ["", "/enable", "/disable"])
    def test_unknown(self, api: Api, uuid: str, action: str) -> None:
        response = api.request("POST" if action else "GET", f"/v2/devices/{uuid}{action}")
        assert response.status_int == 404
        fault(response)
        assert api.conductor.calls == []

    @pytest.mark.parametrize(
        ("action", "status"),
        [("enable", DeviceStatus.ENABLED), ("disable", DeviceStatus.MAINTAINING)],
    )
    @pytest.mark.parametrize("raw", [None, b"", b"{}", b"whatever"])
    def test_status(self, api: Api, action: str, status: DeviceStatus, raw: bytes | None) -> None:
        with api.statements() as statements:
            response = api.request("POST", f"/v2/devices/{DEVICE}/{action}", raw=raw)
        assert (response.status_int, response.body) == (204, b"")
        assert api.conductor.calls == [("set_device_status", (DEVICE, status))]
        assert len(statements) == 1

    def test_forbidden_costs_nothing(self, api: Api) -> None:
        with api.statements() as statements:
            assert api.get("/v2/devices", MEMBER).status_int == 403
            assert api.request("POST", f"/v2/devices/{UNKNOWN}/enable", MEMBER).status_int == 403
        assert statements == []


class TestDeployables:
    wire = {  # noqa: RUF012 -- only compared with
        "uuid": DEPLOYABLE,
        "parent_id": None,
        "root_id": None,
        "name": "node1_0000:0c:00.0",
        "num_accelerators": 4,
        "device_id": 1,
        "attributes_list": '[{"trait1": "CUSTOM_FAKE_DEVICE"}, {"rc": "FPGA"}]',
        "rp_uuid": DEPLOYABLE,
        "driver_name": "fake",
        "bitstream_id": None,
        "links": [
            {"href": f"http://localhost/v2/deployables/{DEPLOYABLE}", "rel": "self"},
            {"href": f"http://localhost/deployables/{DEPLOYABLE}", "rel": "bookmark"},
        ],
        "created_at": TIME,
        "updated_at": None,
    }

    def test_list(self, api: Api) -> None:
        with api.statements() as statements:
            response = api.get("/v2/deployables")
        assert next(iter(response.json)) == "deployables"
        assert response.json == {"deployables": [self.wire]}
        assert len(statements) == 2

    @pytest.mark.parametrize(("name", "count"), [("node1_0000:0c:00.0", 1), ("x", 0)])
    def test_by_name(self, api: Api, name: str, count: int) -> None:
        path = f"/v2/deployables?name={quote(name)}"
        assert len(api.get(path, version="2.4").json["deployables"]) == count
        assert api.get(path).status_int == 400

    def test_show(self, api: Api) -> None:
        assert api.get(f"/v2/deployables/{DEPLOYABLE}").json == self.wire

    @pytest.mark.parametrize(("uuid", "status"), [(UNKNOWN, 404), ("x", 400)])
    def test_unknown(self, api: Api, uuid: str, status: int) -> None:
        response = api.get(f"/v2/deployables/{uuid}")
        assert response.status_int == status
        fault(response)


class TestAttributes:
    def test_list(self, api: Api) -> None:
        with api.statements() as statements:
            response = api.get("/v2/attributes")
        assert len(statements) == 1
        assert len(response.json["attributes"]) == 2
        assert response.json["attributes"][0] == {
            "uuid": ATTRIBUTE,
            "deployable_id": 1,
            "key": "trait1",
            "value": "CUSTOM_FAKE_DEVICE",
            "links": [{"href": f"http://localhost/v2/attributes/{ATTRIBUTE}", "rel": "self"}],
            "created_at": TIME,
            "updated_at": None,
        }

    @pytest.mark.parametrize(
        ("query", "keys"),
        [
            ("deployable_id=1", ["trait1", "rc"]),
            ("deployable_id=0", ["trait1", "rc"]),
            ("deployable_id=7", []),
            ("key=rc", ["rc"]),
            ("key=rc&deployable_id=1", ["rc"]),
            ("key=none", []),
        ],
    )
    def test_filters(self, api: Api, query: str, keys: list[str]) -> None:
        found = api.get(f"/v2/attributes?{query}").json["attributes"]
        assert [attribute["key"] for attribute in found] == keys

    @pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "9223372036854775808", "9" * 40, "²"])
    def test_bad_number(self, api: Api, value: str) -> None:
        response = api.get(f"/v2/attributes?deployable_id={quote(value)}")
        assert response.status_int == 400
        fault(response)

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize(("uuid", "status"), [(UNKNOWN, 404), ("x", 400)])
    def test_unknown(self, api: Api, method: str, uuid: str, status: int) -> None:
        assert api.request(method, f"/v2/attributes/{uuid}").status_int == status

    def test_show(self, api: Api) -> None:
        assert api.get(f"/v2/attributes/{ATTRIBUTE}").json["key"] == "trait1"

    @pytest.mark.parametrize("wrapped", [True, False])
    @pytest.mark.parametrize(
        ("sent", "passed"), [(1, 1), ("1", 1), (DEPLOYABLE, DEPLOYABLE), ("2" * 32, DEPLOYABLE)]
    )
    def test_create(self, api: Api, wrapped: bool, sent: object, passed: object) -> None:
        made = Attribute(9, ATTRIBUTE, 1, DEPLOYABLE, "k", "v", NOW, None)
        api.conductor.answers["create_attribute"] = made
        body: dict[str, object] = {"deployable_id": sent, "key": "k", "value": "v", "more": 1}
        with api.statements() as statements:
            response = api.request(
                "POST", "/v2/attributes", body={"attribute": body} if wrapped else body
            )
        assert response.status_int == 201
        assert response.json["uuid"] == ATTRIBUTE
        assert response.json["deployable_id"] == 1
        assert api.conductor.calls == [("create_attribute", (passed, "k", "v"))]
        assert statements == []

    @pytest.mark.parametrize(
        "change",
        [
            {"deployable_id": None},
            {"deployable_id": True},
            {"deployable_id": 0},
            {"deployable_id": -1},
            {"deployable_id": 1.5},
            {"deployable_id": 2**63},
            {"deployable_id": "x"},
            {"deployable_id": []},
            {"key": None},
            {"key": ""},
            {"key": "x" * 256},
            {"key": 5},
            {"value": None},
            {"value": "x" * 256},
            {"value": {}},
        ],
    )
    def test_create_refused(self, api: Api, change: dict[str, object]) -> None:
        body = {"deployable_id": 1, "key": "k", "value": "v", **change}
        response = api.request("POST", "/v2/attributes", body=body)
        assert response.status_int == 400
        fault(response)
        assert api.conductor.calls == []

    @pytest.mark.parametrize("missing", ["deployable_id", "key", "value"])
    def test_create_incomplete(self, api: Api, missing: str) -> None:
        body = {"deployable_id": 1, "key": "k", "value": "v"}
        del body[missing]
        response = api.request("POST", "/v2/attributes", body=body)
        assert response.status_int == 400
        assert missing in fault(response)["faultstring"]

    def test_create_twice(self, api: Api) -> None:
        api.conductor.answers["create_attribute"] = RemoteError("there", "x", 409)
        body = {"deployable_id": 1, "key": "k", "value": "v"}
        assert api.request("POST", "/v2/attributes", body=body).status_int == 409

    def test_delete(self, api: Api) -> None:
        with api.statements() as statements:
            response = api.request("DELETE", f"/v2/attributes/{ATTRIBUTE}")
        assert (response.status_int, response.body) == (204, b"")
        assert api.conductor.calls == [("delete_attribute", ATTRIBUTE)]
        assert len(statements) == 1

    @pytest.mark.parametrize("path", ["/v2/attributes", "/v2/attributes/"])
    def test_delete_without_uuid(self, api: Api, path: str) -> None:
        assert api.request("DELETE", path).status_int == 400
