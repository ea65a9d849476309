"""Who this agent is: the name under which its host is known, to Placement, to Nova and in the
message queue; and what tells its machine from another one of that name."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg

from cyborg.domain.agents import AgentIdentity
from cyborg.domain.plain import to_plain


def provider_name(conf: cfg.ConfigOpts, getfqdn: Callable[[], str] = socket.getfqdn) -> str:
    """Return the name of this host's compute node in Placement.

    May wait for a name server. A host that calls itself ``localhost`` has no domain name:
    with such a name the devices of all such hosts would be one host's.
    """
    if conf.agent.resource_provider_name:
        return str(conf.agent.resource_provider_name)
    name = getfqdn()
    return name if name and not name.startswith("localhost") else str(conf.host)


def boot_age() -> float:
    """Return the seconds since this machine was booted, also those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def introduction(
    boot_id: str, interval: float, age: Callable[[], float] = boot_age
) -> Mapping[str, Any] | None:
    """Return what the agent says of itself with its reports, as plain data.

    None where boots have no names: a conductor then takes it for whoever was there before.

    :param interval: seconds between reports.
    """
    if not boot_id:
        return None
    said: dict[str, Any] = to_plain(AgentIdentity(boot_id, age(), interval))
    return said
