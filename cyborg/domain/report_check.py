"""Reports as they cross, checked device by device and brought into canonical form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from cyborg.domain.errors import ReportRefused
from cyborg.domain.handle_check import sound_handle, with_natural_shares
from cyborg.domain.hardware import canonical
from cyborg.domain.inventory import (
    DeployableReport,
    DeviceReport,
    HandleReport,
    LeftOut,
    Snapshot,
    UnseenDevice,
)
from cyborg.domain.model import DeviceCondition
from cyborg.domain.text import is_plain, plain

#: What one report may hold. What is beyond it is refused as a whole.
MAX_DEVICES = 1024
MAX_DEPLOYABLES = 4096
MAX_HANDLES = 16_384

#: Characters of a device's board info, as JSON.
MAX_BOARD_INFO = 60_000

#: Characters of the reason of a condition.
MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class CheckedReport:
    """A report of which everything can be recorded, in canonical form."""

    snapshot: Snapshot
    left_out: tuple[LeftOut, ...] = ()


def check_report(wire: object) -> CheckedReport:
    """Return the sound devices of a report, and why the others are left out.

    What is left out is *unseen*: what is recorded of it stays as it is. Doubles are still in it.

    :raises ReportRefused: it is no report, or larger than any host's.
    """
    error = jsonschema.exceptions.best_match(_REPORT.iter_errors(wire))
    if error is not None:
        raise ReportRefused(f"report refused at {_said(error)}")
    assert isinstance(wire, dict)
    _refuse_size(wire["devices"])
    devices: list[DeviceReport] = []
    left_out: list[LeftOut] = []
    for item in wire["devices"]:
        try:
            devices.append(sound_device(item))
        except ValueError as why:
            left_out.append(LeftOut(_name(item, "driver"), _name(item, "identity"), str(why)))
    return CheckedReport(
        Snapshot(
            devices=tuple(devices),
            failed_drivers=(
                *wire["failed_drivers"],
                *(each.driver for each in left_out if each.driver and not each.identity),
            ),
            unseen=(
                *(
                    UnseenDevice(each["driver"], each["identity"])
                    for each in wire.get("unseen", ())
                ),
                *(
                    UnseenDevice(each.driver or "", each.identity)
                    for each in left_out
                    if each.identity
                ),
            ),
        ),
        tuple(left_out),
    )


def sound_device(wire: object) -> DeviceReport:
    """Return a device in canonical form.

    :param wire: plain JSON data; fields that are not known are ignored.
    :raises ValueError: it cannot be recorded or given to Nova; says what is wrong, in one line.
    """
    error = jsonschema.exceptions.best_match(_DEVICE_VALIDATOR.iter_errors(wire))
    if error is not None:
        raise ValueError(_said(error))
    assert isinstance(wire, dict)
    for name in ("driver", "identity"):
        _require_plain(name, wire[name])
    for name in ("std_board_info", "vendor_board_info", "control_path"):
        if len(canonical(wire[name])) > MAX_BOARD_INFO:
            raise ValueError(f"{name} is longer than {MAX_BOARD_INFO} characters as JSON")
    reason = wire.get("condition_reason")
    return DeviceReport(
        driver=wire["driver"],
        identity=wire["identity"],
        type=wire["type"],
        vendor=plain(wire["vendor"], 255),
        model=plain(wire["model"], 255),
        std_board_info=_facts_of(wire["std_board_info"]),
        vendor_board_info=_facts_of(wire["vendor_board_info"]),
        control_path=_facts_of(wire["control_path"]),
        deployables=with_natural_shares(
            _deployable(part, wire["type"]) for part in wire["deployables"]
        ),
        condition=_condition(wire.get("condition")),
        condition_reason=plain(reason, MAX_REASON) if reason else None,
    )


def _said(error: jsonschema.ValidationError) -> str:
    # The path has names of the report in it, and may hold anything.
    return plain(f"{error.json_path}: {error.message}", 400)


def _condition(value: str | None) -> DeviceCondition:
    for condition in DeviceCondition:
        if condition == value:
            return condition
    # One that only a later release knows is no reason to lose the device.
    return DeviceCondition.UNMONITORED


def _deployable(wire: Mapping[str, Any], device_type: str) -> DeployableReport:
    name = wire["name"]
    _require_plain("a deployable's name", name)
    if wire["num_accelerators"] != len(wire["handles"]):
        raise ValueError(
            f"deployable {name} has {wire['num_accelerators']} accelerators "
            f"and {len(wire['handles'])} handles"
        )
    return DeployableReport(
        name=name,
        resource_class=wire["resource_class"],
        num_accelerators=wire["num_accelerators"],
        driver_name=plain(wire["driver_name"], 255),
        traits=tuple(wire["traits"]),
        handles=_handles(name, wire["handles"], device_type),
        needs_prepare=wire["needs_prepare"],
        needs_release=wire["needs_release"],
        programmable=wire.get("programmable", False),
        bitstream_id=wire.get("bitstream_id"),
        is_empty=wire.get("is_empty", False) and wire.get("bitstream_id") is None,
    )


def _handles(part: str, wire: Sequence[object], device_type: str) -> tuple[HandleReport, ...]:
    found = []
    for number, each in enumerate(wire):
        try:
            found.append(sound_handle(each, device_type))
        except ValueError as error:
            raise ValueError(f"handle {number} of {part}: {error}") from error
    return tuple(found)


def _refuse_size(devices: Sequence[Any]) -> None:
    parts = [part for device in devices for part in _list(device, "deployables")]
    handles = sum(len(_list(part, "handles")) for part in parts)
    for what, found, most in (
        ("deployables", len(parts), MAX_DEPLOYABLES),
        ("attach handles", handles, MAX_HANDLES),
    ):
        if found > most:
            raise ReportRefused(f"report refused: {found} {what}; {most} is the most of a host")


def _list(item: Any, name: str) -> Sequence[Any]:
    found = item.get(name) if isinstance(item, dict) else None
    return found if isinstance(found, list) else []


def _name(item: Any, name: str) -> str | None:
    found = item.get(name) if isinstance(item, dict) else None
    return plain(found, 255) or None if isinstance(found, str) else None


def _facts_of(facts: Mapping[str, str]) -> dict[str, str]:
    return {plain(name, 255): plain(value, 255) for name, value in facts.items()}


def _require_plain(what: str, text: str) -> None:
    if not is_plain(text) or text != text.strip():
        raise ValueError(f"{what} has characters that are no text, or blanks at an end")


def _text(limit: int, minimum: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": minimum, "maxLength": limit}


def _object(properties: Mapping[str, Any], optional: Collection[str] = ()) -> dict[str, Any]:
    """Return the schema of an object. What other releases lack is optional, what they have
    more is ignored."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }


def _facts(limit: int) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": _text(limit, 0), "maxProperties": 64}


_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
# Of devices and of handles. By form only: which ones there are is the drivers'.
_TYPE = {"type": "string", "pattern": r"^[A-Z0-9_]{1,16}\Z"}
_NAME = {"type": "string", "pattern": r"^[A-Z0-9_]{1,255}\Z"}
_DEPLOYABLE = _object(
    {
        "name": _text(200),
        "resource_class": _NAME,
        "num_accelerators": {"type": "integer", "minimum": 0, "maximum": 4096},
        "driver_name": _text(255),
        "traits": {"type": "array", "maxItems": 64, "items": _NAME},
        # Each of them is looked at in cyborg.domain.handle_check.
        "handles": {"type": "array", "maxItems": 4096},
        "needs_prepare": {"type": "boolean"},
        "needs_release": {"type": "boolean"},
        "programmable": {"type": "boolean"},
        "bitstream_id": {"type": ["string", "null"], "pattern": _UUID, "maxLength": 36},
        "is_empty": {"type": "boolean"},
    },
    optional=("programmable", "bitstream_id", "is_empty"),
)
_DEVICE_VALIDATOR = jsonschema.Draft202012Validator(
    _object(
        {
            "driver": _text(255),
            "identity": _text(255),
            "type": _TYPE,
            "vendor": _text(255),
            "model": _text(255),
            "std_board_info": _facts(255),
            "vendor_board_info": _facts(255),
            "control_path": _facts(255),
            "deployables": {"type": "array", "maxItems": 1024, "items": _DEPLOYABLE},
            "condition": {"type": "string"},
            "condition_reason": {"type": ["string", "null"]},
        },
        optional=("condition", "condition_reason"),
    )
)
_REPORT = jsonschema.Draft202012Validator(
    _object(
        {
            "devices": {"type": "array", "maxItems": MAX_DEVICES},
            "failed_drivers": {"type": "array", "maxItems": 64, "items": _text(255)},
            "unseen": {
                "type": "array",
                "maxItems": MAX_DEVICES,
                "items": _object({"driver": _text(255), "identity": _text(255)}),
            },
        },
        optional=("unseen",),
    )
)
