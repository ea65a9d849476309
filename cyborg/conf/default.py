"""Options of ``[DEFAULT]``."""

from __future__ import annotations

import socket

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<this host's name>",
        help="Name of this host in logs and of its conductor in the message queue.",
    ),
    cfg.StrOpt(
        "state_path",
        default="/var/lib/cyborg",
        help="Directory of what must survive a restart: the agent's journal lies here.",
    ),
    cfg.StrOpt(
        "auth_strategy",
        default="keystone",
        choices=[
            ("keystone", "Every request but the version documents carries a Keystone token."),
            (
                "noauth",
                "Nobody is authenticated: every request acts as an administrator. Only "
                "requests of this machine are served; for a first look and for tests.",
            ),
        ],
        help="How callers of the API are authenticated.",
    ),
    cfg.IntOpt(
        "periodic_interval",
        default=60,
        min=1,
        max=3600,
        mutable=True,
        help="Seconds between two scans of an agent's host.",
    ),
    cfg.IntOpt(
        "bind_timeout",
        default=60,
        min=1,
        max=3600,
        mutable=True,
        help="Seconds that preparing a device for a bind may take, all attempts together, "
        "before the bind fails.",
    ),
    cfg.IntOpt(
        "graceful_shutdown_timeout",
        default=30,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds that a process which was told to stop may take to finish what it has begun.",
    ),
]
GROUP = None
