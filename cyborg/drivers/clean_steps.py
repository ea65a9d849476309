"""Clean steps: what a release consists of, and which of it an operator chooses.

A driver names its steps once, takes the options that follow from them into its section, and asks
which steps are configured. So names, order and timeouts are set in one way for all drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from oslo_config import cfg, types

from cyborg.domain.errors import ConfigurationError

#: Takes how much of a step is done, in percent. It costs little and may be called often.
Progress = Callable[[float], None]

#: The most seconds that a step may be given: a month.
_LONGEST = 31 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CleanStep:
    """A part of a release that is done, recorded and tried again by itself."""

    #: In lower case, with ``_`` between words. What an operator sees, and what is recorded.
    name: str
    #: What it does, as an operator reads it.
    what: str
    #: Seconds that it may take; None: as long as any call, ``[agent] call_timeout``.
    timeout: float | None = None
    #: Names of steps which, where they are done at all, must have been done before.
    after: tuple[str, ...] = ()
    #: An operator may leave it out.
    optional: bool = False


def clean_options(steps: Sequence[CleanStep], default: Sequence[str]) -> list[cfg.Opt]:
    """Return the options ``clean_steps`` and ``clean_timeouts`` of a driver's section.

    :param default: names of the steps that are done where nothing is set.
    """
    known = "; ".join(
        f"{step.name}: {step.what}" + (" (may be left out)" if step.optional else "")
        for step in steps
    )
    return [
        cfg.ListOpt(
            "clean_steps",
            default=list(default),
            mutable=True,
            help=f"What is done when a handle is taken back, in this order. {known}.",
        ),
        cfg.Opt(
            "clean_timeouts",
            type=types.Dict(types.Float(min=0.1, max=_LONGEST)),
            default={},
            mutable=True,
            help="Seconds that a clean step may take, by its name, as in "
            f"{steps[0].name}:600. A step that takes longer hangs, and its device with it.",
        ),
    ]


def chosen_steps(
    steps: Sequence[CleanStep], section: cfg.ConfigOpts.GroupAttr, name: str
) -> tuple[CleanStep, ...]:
    """Return the steps that are configured, in their order, with their timeouts.

    :param name: of the section, for the errors.
    :raises ConfigurationError: a step is unknown or named twice, one that is needed is left
        out, or one stands before another that it must follow.
    """
    known = {step.name: step for step in steps}
    names: list[str] = section.clean_steps
    timeouts: dict[str, float] = section.clean_timeouts
    for option, given in (("clean_steps", names), ("clean_timeouts", list(timeouts))):
        for each in given:
            if each not in known:
                raise ConfigurationError(
                    f"[{name}] {option}: there is no step {each!r}; there are {', '.join(known)}"
                )
    for number, each in enumerate(names):
        if each in names[:number]:
            raise ConfigurationError(f"[{name}] clean_steps: {each} is named twice")
        late = [other for other in known[each].after if other in names[number:]]
        if late:
            raise ConfigurationError(f"[{name}] clean_steps: {each} must come after {late[0]}")
    for step in steps:
        if not step.optional and step.name not in names:
            raise ConfigurationError(f"[{name}] clean_steps: {step.name} cannot be left out")
    return tuple(
        replace(known[each], timeout=timeouts.get(each, known[each].timeout)) for each in names
    )
