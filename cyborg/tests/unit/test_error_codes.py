"""Codes of errors are part of the API: clients tell errors apart by them.

One that is here must stay as it is for ever. Add new ones; change and remove none.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import cyborg
from cyborg.domain.errors import CyborgError, RemoteError

CODES = {
    "cyborg.internal": 500,
    "cyborg.invalid_input": 400,
    "cyborg.marker_not_found": 400,
    "cyborg.inventory.report_refused": 400,
    "cyborg.unauthenticated": 401,
    "cyborg.forbidden": 403,
    "cyborg.not_found": 404,
    "cyborg.arq.not_found": 404,
    "cyborg.arq.provider_not_found": 404,
    "cyborg.attribute.not_found": 404,
    "cyborg.deployable.not_found": 404,
    "cyborg.device.not_found": 404,
    "cyborg.device_profile.not_found": 404,
    "cyborg.method_not_allowed": 405,
    "cyborg.not_acceptable": 406,
    "cyborg.conflict": 409,
    "cyborg.arq.device_not_available": 409,
    "cyborg.arq.no_free_handle": 409,
    "cyborg.arq.state_conflict": 409,
    "cyborg.arq.wrong_host": 409,
    "cyborg.attribute.exists": 409,
    "cyborg.attribute.reported": 409,
    "cyborg.deployable.busy": 409,
    "cyborg.deployable.in_use": 409,
    "cyborg.deployable.missing": 409,
    "cyborg.deployable.not_programmable": 409,
    "cyborg.deployable.not_programmed": 409,
    "cyborg.device_profile.exists": 409,
    "cyborg.device_profile.in_use": 409,
    "cyborg.inventory.host_taken": 409,
    "cyborg.request_too_large": 413,
    "cyborg.unsupported_media_type": 415,
    "cyborg.arq.not_resolved": 423,
    "cyborg.deployable.programming_failed": 502,
    "cyborg.release_mismatch": 503,
    "cyborg.too_late": 503,
    "cyborg.unavailable": 503,
}

#: Of errors that no caller of the API is ever told of.
INTERNAL = {
    "cyborg.bitstream": 500,
    "cyborg.cannot_perform": 500,
    "cyborg.configuration": 500,
    "cyborg.driver": 500,
    "cyborg.journal": 500,
}

#: What is kept in a request's environ has names of the same form.
ENVIRON = {
    "cyborg.context_scope",
    "cyborg.fault_answered",
    "cyborg.noauth",
    "cyborg.response_headers",
}

#: Of what something in front of the service has refused; no class of ours.
FOREIGN = {"cyborg.refused"}

PACKAGES = ("agent", "api", "clients", "conductor", "db", "domain", "drivers", "rpc")


def test_codes_stay_as_they_are() -> None:
    found = {(error.code, error.http_status) for error in errors() if error is not RemoteError}
    assert found == {*CODES.items(), *INTERNAL.items()}


def test_each_code_is_one_error() -> None:
    codes = [error.code for error in errors() if "code" in vars(error)]
    assert len(codes) == len(set(codes))


def test_no_code_is_written_elsewhere() -> None:
    """A code without a class would be in no list."""
    modules = Path(cyborg.__file__).parent.glob("api/**/*.py")
    written = {
        code
        for module in modules
        for code in re.findall(r'"(cyborg(?:\.[a-z_]+)+)"', module.read_text())
    }
    assert written - CODES.keys() == FOREIGN | ENVIRON


def errors() -> Iterator[type[CyborgError]]:
    """Return every class of errors."""
    top = Path(cyborg.__file__).parent
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(top / package)], f"cyborg.{package}."):
            if not module.name.startswith("cyborg.db.migrations"):
                importlib.import_module(module.name)
    waiting: list[type[CyborgError]] = [CyborgError]
    while waiting:
        error = waiting.pop()
        if not error.__module__.startswith("cyborg.tests"):
            yield error
        waiting.extend(error.__subclasses__())
