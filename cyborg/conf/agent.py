"""Options of ``[agent]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("agent", title="The agent")
OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "enabled_drivers",
        default=["fake_driver"],
        help="Entry point names (cyborg.accelerator.driver) of the drivers that look for "
        "devices. The default offers devices that do not exist.",
    ),
    cfg.StrOpt(
        "resource_provider_name",
        help="Name of this host's compute node in Placement, which is also the host name "
        "that Nova sends and the agent's name in the message queue. By default the fully "
        "qualified domain name, then [DEFAULT] host.",
    ),
    cfg.IntOpt(
        "discovery_timeout",
        default=60,
        min=1,
        max=3600,
        mutable=True,
        help="Seconds after which a driver's scan counts as failed.",
    ),
    cfg.IntOpt(
        "rpc_timeout",
        default=30,
        min=1,
        max=600,
        mutable=True,
        help="Seconds to wait for a conductor's answer before a report is made again.",
    ),
]
