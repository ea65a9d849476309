"""Who an agent is, and whether it is the one whose word counts for its host. Pure.

A host's name comes from a file, and two machines can have the same file. What tells them apart is
the boot of the machine: it is different after each boot of each machine, and an agent that was
started anew on the same machine has the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyborg.domain.errors import InvalidInput
from cyborg.domain.text import is_plain

#: An agent that was not heard for so many of its intervals has lost its claim to the host.
INTERVALS = 2

#: Characters of what the kernel calls a boot.
_MAX_BOOT_ID = 36

#: More than any machine was ever up.
_MAX_SECONDS = 1e10

#: Seconds. Who reported more seldom would hold a host for days after it is gone.
_INTERVAL = 1, 86_400


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """What an agent says of itself."""

    #: Of its machine, since the machine was booted.
    boot_id: str
    #: Seconds since then.
    boot_age: float
    #: Seconds between its reports.
    interval: float


@dataclass(frozen=True, slots=True)
class HeardAgent:
    """The agent that was heard last of a host, as it is recorded."""

    #: None: it did not say.
    boot_id: str | None
    interval: float | None
    #: Seconds since it was heard.
    silence: float


def identity_of(wire: object) -> AgentIdentity | None:
    """Return who an agent says it is; None if it does not say, as those of old releases.

    Fields that are not known are ignored.

    :raises InvalidInput: what it says cannot be.
    """
    boot_id = boot_id_of(wire)
    if boot_id is None:
        return None
    assert isinstance(wire, Mapping)
    interval = _seconds(wire, "interval")
    least, most = _INTERVAL
    if not least <= interval <= most:
        raise InvalidInput(f"An agent's interval is {least} to {most} seconds.")
    return AgentIdentity(boot_id, _seconds(wire, "boot_age"), interval)


def boot_id_of(wire: object) -> str | None:
    """Return the boot of an agent's machine; None if it does not say, or does not know.

    :raises InvalidInput: it cannot be one.
    """
    if wire is None:
        return None
    if not isinstance(wire, Mapping):
        raise InvalidInput("What an agent says of itself is an object.")
    boot_id = wire.get("boot_id", "")
    if not isinstance(boot_id, str) or len(boot_id) > _MAX_BOOT_ID or not is_plain(boot_id):
        raise InvalidInput(f"An agent's boot_id is a text of at most {_MAX_BOOT_ID} characters.")
    return boot_id or None


def _seconds(wire: Mapping[str, Any], name: str) -> float:
    value: Any = wire.get(name)
    # In Python true is 1, and in JSON a whole number may be greater than any float.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MAX_SECONDS:
        raise InvalidInput(f"An agent's {name} is a number of seconds.")
    return float(value)


def may_speak(agent: AgentIdentity | None, heard: HeardAgent, interval: float) -> bool:
    """Return whether what an agent reports is to be taken for its host's.

    Another boot is a restart of the machine if it began after the host was last heard. Else two
    machines are running; the one that was there is believed for as long as it is heard.

    :param interval: the seconds between reports of who did not say.
    """
    if agent is None or heard.boot_id is None or agent.boot_id == heard.boot_id:
        return True
    if agent.boot_age < heard.silence:
        return True
    return heard.silence >= INTERVALS * (heard.interval or interval)
