"""Options of ``[nova]``: how the conductor reaches Nova."""

from __future__ import annotations

from oslo_config import cfg

from cyborg.conf import keystoneauth

SERVICE_TYPE = "compute"
GROUP = cfg.OptGroup(
    "nova",
    title="Nova",
    help="How the conductor reaches Nova. Without auth_type no event is sent.",
)
OPTS: list[cfg.Opt] = keystoneauth.options(SERVICE_TYPE)
