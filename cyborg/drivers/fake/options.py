"""Options of ``[fake_driver]``: devices that do not exist, and faults at will."""

from __future__ import annotations

from oslo_config import cfg, types

from cyborg.drivers.contract import CleanStep, DeviceCondition, clean_options

#: One less than the most devices.
_LAST = 255

#: What ends a call that hangs.
_UNTIL = "The call returns when the device is not named any more."

CLEAN_STEPS = (
    CleanStep("release", "take release_delay seconds"),
    CleanStep("test", "take test_delay seconds", after=("release",), optional=True),
)

GROUP = cfg.OptGroup("fake_driver", title="The fake driver")


def _numbers(name: str, help_: str) -> cfg.ListOpt:
    number = types.Integer(min=0, max=_LAST)
    return cfg.ListOpt(name, item_type=number, default=[], mutable=True, help=help_)


OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "devices",
        default=1,
        min=0,
        max=_LAST + 1,
        mutable=True,
        help="How many devices there are: fake-0, fake-1 and so on.",
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
    cfg.FloatOpt(
        "test_delay",
        default=0.0,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds that the clean step test takes, which is done where clean_steps names it.",
    ),
    cfg.IntOpt(
        "test_failures",
        default=0,
        min=-1,
        mutable=True,
        help="How often that step fails before it works; -1 for always.",
    ),
    *clean_options(CLEAN_STEPS, ["release"]),
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
    cfg.BoolOpt(
        "whole",
        default=False,
        mutable=True,
        help="Whether each device is also offered whole, as one handle of a deployable of its "
        "own with the trait CUSTOM_FAKE_WHOLE. While that has an owner nobody gets a part, and "
        "the other way round.",
    ),
    cfg.Opt(
        "conditions",
        type=types.Dict(types.String(choices=[str(each) for each in DeviceCondition])),
        default={},
        mutable=True,
        help="The conditions of devices by their names, as in fake-0:failed,fake-1:degraded. "
        f"There are {', '.join(DeviceCondition)}. A device that is not named is healthy.",
    ),
    _numbers("away", "Numbers of the devices that are out of the machine."),
    _numbers("unreadable", "Numbers of the devices that a scan cannot read."),
    _numbers(
        "replaced",
        "Numbers of the places where another device is than before: fake-0-b in place of "
        "fake-0, for instance, at the same address.",
    ),
    _numbers("prepare_hangs", f"Numbers of the devices that are never ready. {_UNTIL}"),
    _numbers("release_hangs", f"Numbers of the devices that are never released. {_UNTIL}"),
    _numbers("test_hangs", f"Numbers of the devices whose test does not end. {_UNTIL}"),
    _numbers("program_hangs", f"Numbers of the devices that are never programmed. {_UNTIL}"),
]
