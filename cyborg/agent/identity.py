"""The name under which this host is known: to Placement, to Nova, in the message queue."""

from __future__ import annotations

import socket
from collections.abc import Callable

from oslo_config import cfg


def provider_name(conf: cfg.ConfigOpts, getfqdn: Callable[[], str] = socket.getfqdn) -> str:
    """Return the name of this host's compute node in Placement.

    May wait for a name server. A host that calls itself ``localhost`` has no domain name:
    with such a name the devices of all such hosts would be one host's.
    """
    if conf.agent.resource_provider_name:
        return str(conf.agent.resource_provider_name)
    name = getfqdn()
    return name if name and not name.startswith("localhost") else str(conf.host)
