"""Options of ``[fake_driver]``: devices that do not exist, and faults at will."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("fake_driver", title="The fake driver")
OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "devices", default=1, min=0, max=256, mutable=True, help="How many devices there are."
    ),
    cfg.IntOpt(
        "handles",
        default=16,
        min=0,
        max=4096,
        mutable=True,
        help="How many attach handles each device has.",
    ),
    cfg.FloatOpt(
        "prepare_delay",
        default=0.0,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds that making a device ready takes. Above 0, a bind is finished later "
        "than it is answered.",
    ),
    cfg.IntOpt(
        "prepare_failures",
        default=0,
        min=-1,
        mutable=True,
        help="How often making a handle ready fails before it works; -1 for always.",
    ),
    cfg.FloatOpt(
        "release_delay",
        default=0.0,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds that releasing and cleaning a device takes.",
    ),
    cfg.IntOpt(
        "release_failures",
        default=0,
        min=-1,
        mutable=True,
        help="How often releasing a handle fails before it works; -1 for always.",
    ),
    cfg.BoolOpt(
        "programmable",
        default=True,
        mutable=True,
        help="Whether the devices can be programmed.",
    ),
    cfg.FloatOpt(
        "program_delay",
        default=0.0,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds that programming a device takes.",
    ),
    cfg.IntOpt(
        "program_failures",
        default=0,
        min=-1,
        mutable=True,
        help="How often programming a device fails half way before it works; -1 for always.",
    ),
    cfg.BoolOpt("discovery_fails", default=False, mutable=True, help="Whether every scan fails."),
]
