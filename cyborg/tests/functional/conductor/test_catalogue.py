"""What operators store: what is said of keys that mean nothing, and what is not stored."""

from __future__ import annotations

import logging

import pytest

from cyborg.conductor import catalogue
from cyborg.conductor.environment import Environment
from cyborg.db.tables import device_profiles
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import InvalidInput
from cyborg.tests.functional.conductor.harness import only_sqlite, rows
from cyborg.tests.helpers import profile


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_an_unknown_key_is_kept_and_said(
    env: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    profile(env, "odd", {"resources:FPGA": "1", "accel:bitsream_id": "x", "accel:b": ""})
    [row] = rows(env, device_profiles)
    assert '"accel:bitsream_id": "x"' in row.groups_json
    [line] = warnings(caplog)
    assert "name=odd" in line
    assert "keys=accel:b,accel:bitsream_id" in line


@only_sqlite
def test_it_is_said_of_what_is_changed(env: Environment, caplog: pytest.LogCaptureFixture) -> None:
    profile(env, "odd")
    [row] = rows(env, device_profiles)
    catalogue.update_device_profile(env, row.uuid, {"description": "odd"})
    assert warnings(caplog) == []
    groups = [{"resources:FPGA": "1", "accel:b": ""}]
    catalogue.update_device_profile(env, row.uuid, {"groups": groups})
    [line] = warnings(caplog)
    assert "keys=accel:b" in line


@only_sqlite
@pytest.mark.parametrize("key", ["accel:bitstream_id", "accel:function_id", "trait:CUSTOM_A"])
def test_nothing_is_said_of_known_keys(
    env: Environment, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    value = "required" if key.startswith("trait:") else new_uuid()
    profile(env, "known", {"resources:FPGA": "1", key: value})
    assert warnings(caplog) == []


@only_sqlite
def test_what_cannot_be_loaded_is_not_stored(
    env: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    for group in (
        {"accel:bitstream_id": "image"},
        {"accel:bitstream_id": new_uuid(), "accel:function_id": "f"},
    ):
        with pytest.raises(InvalidInput):
            profile(env, "bad", {"resources:FPGA": "1", "accel:other": "", **group})
    assert rows(env, device_profiles) == []
    assert warnings(caplog) == []
