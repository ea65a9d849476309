"""From when on something that goes on is one that does not."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_config import cfg

#: Leases, and intervals between an agent's reports, after which nobody seems to see to it.
TIMES = 10

#: Seconds that are always waited.
LEAST = 300.0

#: Seconds for which nobody leases a job, or waits before it is done again; twice the longest pause.
LONGEST_LEASE = 7200.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds."""

    #: Since a job or an event may be taken, or should have ended.
    overdue: float = LEAST
    #: Between two reports of an agent that does not say its interval.
    interval: float = 60.0
    #: Since an ARQ was bound for which there is no allocation.
    grace: float = 600.0

    def silence(self, interval: float | None) -> float:
        """Return for how long an agent with this interval may be silent."""
        return max(LEAST, TIMES * (interval or self.interval))


def limits_of(conf: cfg.ConfigOpts) -> Limits:
    """Return what follows from the options."""
    return Limits(
        overdue=max(LEAST, TIMES * float(conf.conductor.job_lease)),
        interval=float(conf.periodic_interval),
        grace=float(
            conf.conductor.leftover_grace_period + 2 * conf.conductor.leftover_comparison_interval
        ),
    )
