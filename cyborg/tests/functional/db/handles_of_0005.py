"""Handles as version 0005 of the schema could hold them, and what version 0006 makes of them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.db import schema
from cyborg.tests.functional.db.frozen import count_on

#: Two on the first host, then one on the second; their handles are in deployables of these ids.
ONE, OTHER, ELSEWHERE = 1, 2, 3

#: How a key ends that is only this row's: its uuid follows.
OWN = "#"
UNREADABLE = "unreadable/"

NOW = datetime.datetime(2026, 11, 29, 6, 0, 0, 123456)

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Old:
    """A handle. Ids are in the order of :data:`HANDLES`: the first is the oldest."""

    name: str
    info: Mapping[str, Any] | Sequence[Any] | str
    #: What it becomes; None if it is deleted.
    key: str | None
    type: str = "PCI"
    deployable: int = ONE
    owned: bool = False
    condition: str = "ready"
    in_work: bool = False
    #: What it has a part of, where the key does not say it.
    counter: str | None = None
    parts: int = 1

    @property
    def text(self) -> str:
        """Return the info as it is stored."""
        return self.info if isinstance(self.info, str) else json.dumps(self.info)


def at(address: str, **more: str) -> dict[str, str]:
    """Return the info of a handle at an address, spelt as it is here."""
    domain, bus, rest = address.split(":")
    device, _, function = rest.partition(".")
    return {"domain": domain, "bus": bus, "device": device, "function": function, **more}


def of_gpu(mark: str | None, asked_type: str = "nvidia-223", **address: str) -> dict[str, str]:
    """Return the info of a mediated device of one card."""
    info = {**at("0000:65:00.0"), **address, "asked_type": asked_type}
    return info if mark is None else {**info, "vgpu_mark": mark}


def _gpu_key(mark: str) -> str:
    return f'0000:65:00.0/nvidia-223/{{"vgpu_mark":"{mark}"}}'


_GPU: dict[str, Any] = {"type": "MDEV", "counter": "0000:65:00.0"}
#: As long as a key can be.
_LONG: dict[str, Any] = {"type": "SLICE", "info": {"name": "n" * 238}}
_LONG_KEY = f'slice/{{"name":"{"n" * 238}"}}'

HANDLES: tuple[Old, ...] = (
    Old("padded", at("0000:3a:00.1"), "0000:3a:00.1"),
    Old("spelt shortly", at("0:3A:0.2"), "0000:3a:00.2"),
    Old("of a wide domain", at("10000:3a:00.2"), "10000:3a:00.2"),
    Old("with more in its info", at("0000:3a:00.3", physical_network="a"), "0000:3a:00.3"),
    Old("on another host", at("0000:3a:00.1"), "0000:3a:00.1", deployable=ELSEWHERE),
    Old("of a test", at("0000:3A:0.1"), "test/0000:3a:00.1", type="TEST_PCI"),
    # Two and more rows of one piece of hardware.
    Old("free, older", at("0000:40:00.0"), "0000:40:00.0"),
    Old("free, newer", at("0000:40:0.0"), None),
    Old("free, another card", at("0000:40:00.0"), None, deployable=OTHER),
    Old("free beside owned", at("0000:41:00.0"), None),
    Old("owned beside free", at("0:41:0.0"), "0000:41:00.0", owned=True),
    Old("owned, older", at("0000:42:00.0"), "0000:42:00.0", owned=True),
    Old("owned, newer", at("0000:42:0.0"), "0000:42:00.0" + OWN, owned=True, in_work=True),
    Old("free beside quarantined", at("0000:43:00.0"), None),
    Old("quarantined beside free", at("0:43:00.0"), "0000:43:00.0", condition="quarantined"),
    Old(
        "quarantined beside owned",
        at("0000:44:00.0"),
        "0000:44:00.0" + OWN,
        condition="quarantined",
    ),
    Old("owned beside quarantined", at("0:44:00.0"), "0000:44:00.0", owned=True, deployable=OTHER),
    Old("quarantined, older", at("0000:45:00.0"), "0000:45:00.0", condition="quarantined"),
    Old("quarantined, newer", at("0:45:00.0"), "0000:45:00.0" + OWN, condition="quarantined"),
    Old("free beside one in work", at("0000:46:00.0"), "0000:46:00.0"),
    Old("in work", at("0:46:00.0"), "0000:46:00.0" + OWN, in_work=True),
    Old("vanished, older", at("0000:47:00.0"), "0000:47:00.0", condition="vanished"),
    Old("vanished, newer", at("0:47:00.0"), None, condition="vanished"),
    Old("vanished and owned", at("0:48:00.0"), "0000:48:00.0", condition="vanished", owned=True),
    Old("free beside vanished", at("0000:48:00.0"), None),
    # Mediated devices share their parent, each type by itself.
    *(Old(f"gpu {m}", of_gpu(m), _gpu_key(m), parts=3, **_GPU) for m in ("a", "b")),
    Old("gpu a, doubled", of_gpu("a", bus="65", domain="0"), None, **_GPU),
    Old("gpu b, doubled", of_gpu("b"), None, deployable=OTHER, **_GPU),
    Old("gpu of another card", of_gpu("c"), _gpu_key("c"), deployable=OTHER, parts=3, **_GPU),
    Old("gpu of another type", of_gpu(None, "nvidia-100"), "0000:65:00.0/nvidia-100/", **_GPU),
    Old("gpu elsewhere", of_gpu("a"), _gpu_key("a"), deployable=ELSEWHERE, **_GPU),
    # What only its driver knows.
    Old("unknown", {"b": "2", "a": "ü"}, r'x_1/{"a":"\u00fc","b":"2"}', type="X_1"),
    Old("unknown, written otherwise", '{"a" : "ü", "b": "2"}', None, type="X_1"),
    Old("long", key=_LONG_KEY, owned=True, **_LONG),
    Old(
        "long, doubled",
        key=_LONG_KEY[: 255 - 37] + OWN,
        counter=_LONG_KEY,
        owned=True,
        deployable=OTHER,
        **_LONG,
    ),
    # What no driver should have said.
    Old("too long", {"name": "n" * 239}, UNREADABLE, type="SLICE"),
    Old("too long too", {"name": "n" * 239}, UNREADABLE, type="SLICE", deployable=OTHER),
    Old("no JSON", "{", UNREADABLE),
    Old("no object", [], UNREADABLE, owned=True),
    Old("no text", {"number": 1}, UNREADABLE, type="X_1", condition="quarantined"),
    Old("no number", {**at("0000:3a:00.4"), "bus": 58}, UNREADABLE),
    Old("no function", at("0000:3a:00"), UNREADABLE),
    Old("no such device", at("0000:3a:20.0"), UNREADABLE, type="TEST_PCI"),
    Old("no type", of_gpu("d", ""), UNREADABLE, type="MDEV"),
    Old("a type that is a path", of_gpu("d", "../x"), UNREADABLE, type="MDEV"),
)


def uuid_of(number: int) -> str:
    """Return the uuid of a handle, or of what belongs to it, by its id."""
    return f"00000000-0000-4000-8000-{number:012d}"


def load(engine: sa.Engine) -> None:
    """Make the schema of version 0005 in an empty database, with the handles in it."""
    schema.upgrade(engine, "0005")
    old = _reflected(engine)
    with engine.begin() as connection:
        for table, of_table in _rows().items():
            connection.execute(old.tables[table].insert(), of_table)
            if engine.dialect.name == "postgresql":
                count_on(connection, old.tables[table])


def everything(engine: sa.Engine) -> Rows:
    """Return all rows, by table."""

    def query(table: sa.Table) -> sa.Select[Any]:
        return sa.select(table).order_by(*table.primary_key)

    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(query(table)).mappings()]
            for table in _reflected(engine).sorted_tables
        }


def _reflected(engine: sa.Engine) -> sa.MetaData:
    found = sa.MetaData()
    found.reflect(engine)
    return found


def _rows() -> dict[str, list[dict[str, Any]]]:
    numbered = list(enumerate(HANDLES, start=1))
    requests = [number for number, old in numbered if old.owned]
    tables: dict[str, list[dict[str, Any]]] = {
        "hosts": [
            {"id": id_, "name": f"host-{id_}", "report_digest": "d" * 64, "last_seen_at": NOW}
            for id_ in (1, 2)
        ],
        "devices": [_device(id_, 1 + (id_ == ELSEWHERE)) for id_ in (ONE, OTHER, ELSEWHERE)],
        "deployables": [_deployable(id_) for id_ in (ONE, OTHER, ELSEWHERE)],
        "device_profiles": [{"id": 1, "uuid": uuid_of(1), "name": "one", "groups_json": "[]"}],
        "accelerator_requests": [_request(number) for number in requests],
        "attach_handles": [_handle(number, old) for number, old in numbered],
        "jobs": [_job(number, old) for number, old in numbered if old.in_work],
    }
    return {name: [{"created_at": NOW, **row} for row in rows] for name, rows in tables.items()}


def _device(id_: int, host_id: int) -> dict[str, Any]:
    return {
        "id": id_,
        "uuid": uuid_of(id_),
        "host_id": host_id,
        "identity": f"card-{id_}",
        "driver": "fake_driver",
        "type": "FPGA",
        "vendor": "0xABCD",
        "model": "model",
        "std_board_info": "{}",
        "vendor_board_info": "{}",
        "status": "disabled" if id_ == OTHER else "enabled",
        "presence": "present",
        "absences": 0,
        "generation": 1,
    }


def _deployable(id_: int) -> dict[str, Any]:
    return {
        "id": id_,
        "uuid": uuid_of(id_),
        "device_id": id_,
        "name": f"part-{id_}",
        "resource_class": "FPGA",
        "num_accelerators": len([old for old in HANDLES if old.deployable == id_]),
        "rp_uuid": uuid_of(id_),
        "driver_name": "fake",
        "needs_prepare": False,
        "needs_release": False,
    }


def _request(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": uuid_of(number),
        "state": "Bound",
        "device_profile_id": 1,
        "device_profile_group_id": 0,
        "group_json": "{}",
    }


def _handle(number: int, old: Old) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": uuid_of(number),
        "deployable_id": old.deployable,
        "attach_type": old.type,
        "attach_info": old.text,
        "condition": old.condition,
        "needs_release": old.in_work,
        "accelerator_request_id": number if old.owned else None,
        "generation": number,
    }


def _job(number: int, old: Old) -> dict[str, Any]:
    return {
        "uuid": uuid_of(number),
        "kind": "release",
        "subject": f"arq/{uuid_of(number)}",
        "host": "host-1",
        "accelerator_request_id": number if old.owned else None,
        "attach_handle_id": number,
        "payload": "{}",
        "leased_until": NOW,
    }
