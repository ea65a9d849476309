"""Options of ``[conductor]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("conductor", title="The conductor")
OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "job_poll_interval",
        default=2.0,
        min=0.1,
        max=60,
        mutable=True,
        help="Seconds between two looks for jobs whose lease has run out.",
    ),
    cfg.IntOpt(
        "job_lease",
        default=30,
        min=1,
        max=600,
        mutable=True,
        help="Seconds that an agent may work on a job before it is asked again.",
    ),
    cfg.IntOpt(
        "prepare_attempts",
        default=2,
        min=1,
        max=100,
        mutable=True,
        help="How often preparing a device may fail before the bind does.",
    ),
    cfg.IntOpt(
        "release_attempts",
        default=3,
        min=1,
        max=100,
        mutable=True,
        help="How often releasing a device may fail before its handle is quarantined.",
    ),
]
