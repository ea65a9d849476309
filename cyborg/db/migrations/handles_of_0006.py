"""What version 0006 says of the handles that there are: which hardware each is.

The keys are made as :mod:`cyborg.domain.hardware` made them when this was written. What that
module does later is for later versions to bring into the rows.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable, DropTable

LOG = logging.getLogger(__name__)

#: Characters of a key.
_LIMIT = 255

#: Rows that one statement writes.
_BATCH = 1000

_PCI_ADDRESS = {
    "domain": re.compile(r"[0-9a-fA-F]{1,8}\Z"),
    "bus": re.compile(r"[0-9a-fA-F]{1,2}\Z"),
    "device": re.compile(r"[01]?[0-9a-fA-F]\Z"),
    "function": re.compile(r"[0-7]\Z"),
}
_ASKED_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

_hosts = sa.table("hosts", sa.column("report_digest", sa.String(64)))
_devices = sa.table("devices", sa.column("id", sa.BigInteger), sa.column("host_id", sa.BigInteger))
_deployables = sa.table(
    "deployables", sa.column("id", sa.BigInteger), sa.column("device_id", sa.BigInteger)
)
_handles = sa.table(
    "attach_handles",
    sa.column("id", sa.BigInteger),
    sa.column("uuid", sa.String(36)),
    sa.column("deployable_id", sa.BigInteger),
    sa.column("host_id", sa.BigInteger),
    sa.column("hardware", sa.String(_LIMIT)),
    sa.column("shares", sa.Text),
    sa.column("attach_type", sa.String(16)),
    sa.column("attach_info", sa.Text),
    sa.column("condition", sa.String(16)),
    sa.column("accelerator_request_id", sa.BigInteger),
)
_jobs = sa.table("jobs", sa.column("attach_handle_id", sa.BigInteger))

#: What is found out of each handle, to be written in one statement.
_found = sa.Table(
    "handles_of_0006",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("host_id", sa.BigInteger, nullable=False),
    sa.Column("hardware", sa.String(_LIMIT), nullable=False),
    sa.Column("shares", sa.Text, nullable=False),
    prefixes=["TEMPORARY"],
    mysql_charset="utf8mb4",
    mariadb_charset="utf8mb4",
)


class _Hardware(NamedTuple):
    """Which piece a handle is, and the counter of which it has a part."""

    key: str
    counter: str
    #: The parent and the type of a mediated device: all of these share the parent equally.
    kind: str | None = None


def fill_handles(connection: sa.Connection) -> None:
    """Fill ``host_id``, ``hardware`` and ``shares``; leave one handle of each piece of hardware.

    Of several the one with an owner keeps the key, else one in quarantine, else the oldest. Of
    the others those that nobody has, and no job is about, are deleted; the rest have keys of
    their own, and shares of the same hardware.
    """
    in_work = set(connection.scalars(sa.select(_jobs.c.attach_handle_id)))
    gone: list[int] = []
    found: list[dict[str, Any]] = []
    for host_id, rows in _of_hosts(connection).items():
        same = _by_hardware(rows)
        kinds = Counter(hardware.kind for hardware in same)
        for hardware, handles in same.items():
            shares = _shares(hardware, kinds)
            keys = _keys(hardware.key, handles, in_work)
            found += [
                {"id": id_, "host_id": host_id, "hardware": key, "shares": shares}
                for id_, key in keys.items()
            ]
            gone += [row.id for row in handles if row.id not in keys]
            if len(keys) > 1:
                uuids = ", ".join(row.uuid for row in handles if row.id in keys)
                LOG.warning("held more than once hardware=%s handles=%s", hardware.key, uuids)
    LOG.info("doubled handles that nobody has are deleted: %d", len(gone))
    _delete(connection, gone)
    _write(connection, found)
    # Whatever is reported next is applied, the same as before too: only that says what more
    # is offered of than there is.
    connection.execute(_hosts.update().values(report_digest=None))


def _of_hosts(connection: sa.Connection) -> dict[int, list[sa.Row[Any]]]:
    query = (
        sa.select(_handles, _devices.c.host_id.label("its_host"))
        .join_from(_handles, _deployables, _deployables.c.id == _handles.c.deployable_id)
        .join(_devices, _devices.c.id == _deployables.c.device_id)
        .order_by(_handles.c.id)
    )
    result: dict[int, list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        result[row.its_host].append(row)
    return result


def _by_hardware(rows: Sequence[sa.Row[Any]]) -> dict[_Hardware, list[sa.Row[Any]]]:
    same: dict[_Hardware, list[sa.Row[Any]]] = defaultdict(list)
    for row in rows:
        same[_hardware(row)].append(row)
    return same


def _keys(key: str, handles: Sequence[sa.Row[Any]], in_work: Collection[int]) -> dict[int, str]:
    """Return the keys of those handles of one piece of hardware that stay, by id."""

    def rank(row: sa.Row[Any]) -> tuple[bool, bool, int]:
        return row.accelerator_request_id is None, row.condition != "quarantined", row.id

    first, *others = sorted(handles, key=rank)
    result = {first.id: key}
    for row in others:
        unowned, unharmed, _ = rank(row)
        if not (unowned and unharmed) or row.id in in_work:
            own = f"#{row.uuid}"
            result[row.id] = key[: _LIMIT - len(own)] + own
    return result


def _shares(hardware: _Hardware, kinds: Mapping[str | None, int]) -> str:
    capacity = 1 if hardware.kind is None else kinds[hardware.kind]
    return _canonical([{"counter": hardware.counter, "amount": 1, "capacity": capacity}])


def _delete(connection: sa.Connection, ids: Sequence[int]) -> None:
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        connection.execute(_handles.delete().where(_handles.c.id.in_(batch)))


def _write(connection: sa.Connection, found: Sequence[Mapping[str, Any]]) -> None:
    # A connection whose upgrade was interrupted has it still.
    connection.execute(DropTable(_found, if_exists=True))
    connection.execute(CreateTable(_found))
    for start in range(0, len(found), _BATCH):
        connection.execute(_found.insert(), found[start : start + _BATCH])
    values = {name: _found.c[name] for name in ("host_id", "hardware", "shares")}
    connection.execute(_handles.update().where(_handles.c.id == _found.c.id).values(values))
    connection.execute(DropTable(_found))


def _hardware(row: sa.Row[Any]) -> _Hardware:
    try:
        found = _read(row.attach_type, json.loads(row.attach_info))
    except ValueError:
        found = None
    if found is None or len(found.key) > _LIMIT:
        key = f"unreadable/{row.uuid}"
        return _Hardware(key, key)
    return found._replace(key=found.key.lower(), counter=found.counter.lower())


def _read(type_: str, info: object) -> _Hardware | None:
    """Return which hardware it is, None if its info is not such as a driver gives."""
    if not isinstance(info, dict) or not all(isinstance(value, str) for value in info.values()):
        return None
    if type_ not in ("PCI", "TEST_PCI", "MDEV"):
        key = f"{type_.lower()}/{_canonical(info)}"
        return _Hardware(key, key)
    if not all(form.match(info.get(name, "")) for name, form in _PCI_ADDRESS.items()):
        return None
    domain, bus, device, function = (int(info[name], 16) for name in _PCI_ADDRESS)
    address = f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"
    if type_ == "MDEV":
        asked_type = info.get("asked_type", "")
        if not _ASKED_TYPE.match(asked_type):
            return None
        kind = f"{address}/{asked_type}"
        marks = {k: v for k, v in info.items() if k not in (*_PCI_ADDRESS, "asked_type")}
        return _Hardware(f"{kind}/{_canonical(marks) if marks else ''}", address, kind)
    # Devices that do not exist are at no address of this host.
    key = address if type_ == "PCI" else f"test/{address}"
    return _Hardware(key, key)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
