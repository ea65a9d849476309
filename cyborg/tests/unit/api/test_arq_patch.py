"""The meaning of a PATCH body."""

from __future__ import annotations

from typing import Any

import pytest

from cyborg.api.v2.arq_patch import MAX_REQUESTS, Bind, Unbind, parse
from cyborg.domain.errors import InvalidInput

A = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
B = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
PROVIDER = "cccccccc-cccc-cccc-cccc-cccccccccccc"
INSTANCE = "dddddddd-dddd-dddd-dddd-dddddddddddd"
PROJECT = "e" * 32
BINDING = {"hostname": "node1", "device_rp_uuid": PROVIDER, "instance_uuid": INSTANCE}


def add(**values: object) -> list[dict[str, Any]]:
    merged = {**BINDING, **values}
    return [
        {"path": f"/{name}", "op": "add", "value": value}
        for name, value in merged.items()
        if value is not ...
    ]


def remove(*names: str) -> list[dict[str, Any]]:
    return [{"path": f"/{name}", "op": "remove"} for name in names or BINDING]


def test_bind() -> None:
    assert parse({A: add()}) == Bind({A: BINDING}, None)


def test_bind_in_any_order_and_with_other_keys() -> None:
    patch = [{**operation, "from": "x"} for operation in reversed(add())]
    assert parse({A: patch}) == Bind({A: BINDING}, None)


def test_bind_with_project() -> None:
    change = parse({A: add(project_id=PROJECT), B: add(project_id=PROJECT)})
    assert change == Bind({A: BINDING, B: BINDING}, PROJECT)
    assert change.names_project


def test_uuids_become_canonical() -> None:
    patch = add(instance_uuid="D" * 32, device_rp_uuid=PROVIDER.upper())
    assert parse({"A" * 32: patch}) == Bind({A: BINDING}, None)


def test_bind_to_different_providers() -> None:
    change = parse({A: add(), B: add(device_rp_uuid=A)})
    assert isinstance(change, Bind)
    assert change.bindings[B]["device_rp_uuid"] == A


@pytest.mark.parametrize("names", [(), ("hostname",), ("instance_uuid", "device_rp_uuid")])
def test_unbind(names: tuple[str, ...]) -> None:
    assert parse({A: remove(*names), B: remove()}) == Unbind((A, B), False)


def test_unbind_naming_a_project() -> None:
    assert parse({A: remove("project_id")}) == Unbind((A,), True)


def test_as_many_as_allowed() -> None:
    bodies = {f"{A[:-3]}{n:03d}": remove() for n in range(MAX_REQUESTS + 1)}
    with pytest.raises(InvalidInput, match="64"):
        parse(bodies)
    bodies.popitem()
    change = parse(bodies)
    assert isinstance(change, Unbind)
    assert len(change.uuids) == MAX_REQUESTS


ADD = {"op": "add", "path": "/hostname", "value": "x"}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        "text",
        [ADD],
        {"x": add()},
        {A: []},
        {A: {}},
        {A: None},
        {A: "text"},
        {A: [None]},
        {A: [[]]},
        {A: [{}]},
        {A: add(), B: []},
        # Operations.
        {A: [*add(), *remove()]},
        {A: add(), B: remove()},
        {A: add(), B: [{**operation, "op": "remove"} for operation in add()]},
        {A: [*add(hostname=...), {**ADD, "op": "remove"}]},
        {A: [{"path": "/hostname", "value": "x"}]},
        {A: [{**ADD, "op": "replace"}]},
        {A: [{**ADD, "op": "Add"}]},
        {A: [{**ADD, "op": None}]},
        {A: [{**ADD, "op": ["add"]}]},
        # Paths.
        {A: [*add(), {"op": "add", "path": "/state", "value": "Bound"}]},
        {A: [*add(), {"op": "add", "path": "hostname", "value": "x"}]},
        {A: [*add(), {"op": "add", "path": "/", "value": "x"}]},
        {A: [*add(), {"op": "add", "value": "x"}]},
        {A: [*add(), {"op": "add", "path": {}, "value": "x"}]},
        {A: remove("state")},
        {A: [*add(), ADD]},
        {A: remove("hostname", "hostname")},
        # Fields.
        {A: add(hostname=...)},
        {A: add(device_rp_uuid=...)},
        {A: add(instance_uuid=...)},
        {A: [{"op": "add", "path": f"/{name}"} for name in BINDING]},
        {A: add(hostname="")},
        {A: add(hostname=None)},
        {A: add(hostname="x" * 256)},
        {A: add(hostname=5)},
        {A: add(device_rp_uuid="x")},
        {A: add(device_rp_uuid=None)},
        {A: add(instance_uuid=["x"])},
        {A: add(instance_uuid=INSTANCE + "0")},
        {A: add(project_id="x")},
        {A: add(project_id=None)},
        {A: add(project_id=7)},
        # Together.
        {A: add(), A.upper(): add()},
        {A: add(), B: add(instance_uuid=A)},
        {A: add(), B: add(hostname="node2")},
        {A: add(), B: add(project_id=PROJECT)},
        {A: add(project_id=A), B: add(project_id=PROJECT)},
    ],
)
def test_refused(body: object) -> None:
    with pytest.raises(InvalidInput):
        parse(body)
