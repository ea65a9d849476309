"""How the processes are configured: as a deployer could, for a short run and for a long one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: A group of options by name, each option by name.
Groups = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Host:
    """A compute host: its fake devices, each with one provider."""

    name: str
    devices: int
    handles: int
    #: Further options of the fake driver.
    options: Mapping[str, Any] = field(default_factory=dict)

    def fake_driver(self, **changes: Any) -> dict[str, Any]:
        """Return the options of its fake driver."""
        return {"devices": self.devices, "handles": self.handles, **self.options, **changes}


#: Nothing has to be prepared.
PLAIN = "compute-1"
#: Preparing, releasing and programming take a while.
SLOW = "compute-2"
#: One handle a device, which must be released; for faults of single devices.
NARROW = "compute-3"


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between a short and a long run."""

    #: How many binds are in flight when a conductor is killed, and how many events there are.
    binds: int
    events: int
    hosts: tuple[Host, ...]
    groups: Groups
    #: Threads of the load that goes on while there is a fault.
    clients: int
    #: Seconds: of an outage of what the table does not name, of a frozen process.
    outage: float
    freeze: float
    #: Seconds of load before anything is measured.
    warming: float
    database: str = "mariadb"
    queues: str = "classic"

    def option(self, group: str, name: str) -> float:
        """Return what an option is set to."""
        return float(self.groups[group][name])


_COMMON: dict[str, dict[str, Any]] = {
    "agent": {
        "enabled_drivers": "fake_driver,chaos_driver",
        "discovery_timeout": 60,
        "call_timeout": 60,
        "rpc_timeout": 8,
    },
    "api": {"rpc_timeout": 8},
    # Nobody allocates in Placement here.
    "conductor": {"leftover_comparison_interval": 86400, "leftover_grace_period": 86400},
}

_SHORT: dict[str, dict[str, Any]] = {
    "agent": {"discovery_timeout": 3, "call_timeout": 4},
    # An agent that is away for two intervals tells everything anew.
    "DEFAULT": {"periodic_interval": 8, "graceful_shutdown_timeout": 20},
    "conductor": {"job_poll_interval": 0.3, "job_lease": 4, "provider_comparison_interval": 8},
}

_LONG: dict[str, dict[str, Any]] = {
    "DEFAULT": {"periodic_interval": 10, "graceful_shutdown_timeout": 30},
    "conductor": {"job_poll_interval": 1, "job_lease": 10, "provider_comparison_interval": 30},
}


#: What the processes find beside the packages that are installed: our driver.
DRIVERS = Path(__file__).parent / "driver"


def _merged(*parts: Groups) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for groups in parts:
        for name, options in groups.items():
            merged.setdefault(name, {}).update(options)
    return merged


def short() -> Settings:
    """Return those of a run that takes at most 90 s."""
    slow = {"prepare_delay": 0.05, "release_delay": 0.02, "program_delay": 1.5}
    hosts = (
        Host(PLAIN, 4, 32),
        Host(SLOW, 4, 16, slow),
        Host(NARROW, 4, 1, {"release_delay": 0.05}),
    )
    return Settings(100, 100, hosts, _merged(_COMMON, _SHORT), 6, 5, 5, 1)


def long() -> Settings:
    """Return those of the whole run."""
    slow = {"prepare_delay": 0.1, "release_delay": 0.05, "program_delay": 5}
    hosts = (
        Host(PLAIN, 4, 192),
        Host(SLOW, 8, 32, slow),
        Host(NARROW, 8, 1, {"release_delay": 0.1}),
    )
    return Settings(1000, 1000, hosts, _merged(_COMMON, _LONG), 12, 60, 40, 10)
