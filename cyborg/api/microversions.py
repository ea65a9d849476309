"""Microversions: which one a request asks for, and the headers that say so.

========  ==========================================================================
2.0       The first.
2.1       ``/project_id`` in PATCH of accelerator requests.
2.2       A device profile can be shown by its name.
2.3       Devices have ``status``.
2.4       Pages, order and filters; uuids instead of internal numbers; what of a device
          is in use; why an ARQ is as it is; PATCH of device profiles; codes of errors.
2.5       Devices have ``presence``, ``condition`` and ``condition_reason``.
2.6       Devices have ``work``: what their agent is at.
========  ==========================================================================
"""

from __future__ import annotations

import re

import microversion_parse
from oslo_log import log

from cyborg.domain.errors import NotAcceptable

LOG = log.getLogger(__name__)

SERVICE_TYPE = "accelerator"
HEADER = "OpenStack-API-Version"

Version = tuple[int, int]

MINIMUM: Version = (2, 0)
PROJECT_IN_PATCH: Version = (2, 1)
PROFILE_BY_NAME: Version = (2, 2)
DEVICE_STATUS: Version = (2, 3)
V2_4: Version = (2, 4)
DEVICE_CONDITION: Version = (2, 5)
DEVICE_WORK: Version = (2, 6)
MAXIMUM: Version = DEVICE_WORK

_VERSION = re.compile(r"([1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\Z")


class OutOfRange(NotAcceptable):
    """A version that is none of ours, though it is one."""


def text(version: Version) -> str:
    """Return a version as it is written."""
    return f"{version[0]}.{version[1]}"


LIMITS = {
    "OpenStack-API-Minimum-Version": text(MINIMUM),
    "OpenStack-API-Maximum-Version": text(MAXIMUM),
    "Vary": HEADER,
}


def headers(version: Version) -> dict[str, str]:
    """Return the headers of an answer in this version."""
    return {**LIMITS, HEADER: f"{SERVICE_TYPE} {text(version)}"}


def negotiate(header: str | None) -> Version:
    """Return the version that the header asks for; the minimum if it asks for none.

    :raises OutOfRange: there is no such version here.
    :raises NotAcceptable: it is no version.
    """
    asked = _asked(header or "")
    if asked is None:
        return MINIMUM
    if asked == "latest":
        return MAXIMUM
    match = _VERSION.match(asked)
    if match is None:
        raise NotAcceptable(f"'{asked[:50]}' is not a version; {HEADER}: {SERVICE_TYPE} 2.0 is.")
    version = int(match[1]), int(match[2])
    if not MINIMUM <= version <= MAXIMUM:
        raise OutOfRange(
            f"Version {asked} is not supported here: minimum {text(MINIMUM)}, "
            f"maximum {text(MAXIMUM)}."
        )
    return version


def require(version: Version, since: Version, what: str) -> None:
    """Check that a feature is in the version that was asked for.

    :raises NotAcceptable: it is newer.
    """
    if version < since:
        raise NotAcceptable(
            f"{what} needs microversion {text(since)} or higher; this request is {text(version)}."
        )


def wanted(header: str | None) -> Version | None:
    """Return the version that the header asks for, None if it is none of ours."""
    try:
        return negotiate(header)
    except NotAcceptable:
        return None


def _asked(header: str) -> str | None:
    asked: str | None = microversion_parse.get_version({HEADER: header}, SERVICE_TYPE)
    if asked is not None:
        return asked
    bare = [part.strip() for part in header.split(",") if len(part.split()) == 1]
    if not bare:
        return None
    LOG.debug("version without a service type (deprecated): %s", bare[-1])
    return bare[-1]
