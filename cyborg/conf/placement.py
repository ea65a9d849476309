"""Options of ``[placement]``: how the conductor reaches Placement."""

from __future__ import annotations

from oslo_config import cfg

from cyborg.conf import keystoneauth

SERVICE_TYPE = "placement"
GROUP = cfg.OptGroup(
    "placement",
    title="Placement",
    help="How the conductor reaches Placement. Without auth_type no provider is published.",
)
OPTS: list[cfg.Opt] = keystoneauth.options(SERVICE_TYPE)
