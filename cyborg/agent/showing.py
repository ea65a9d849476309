"""What the agent would report of a host, and what it would not and why: for an operator's eyes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg

from cyborg.agent.identity import provider_name
from cyborg.agent.merging import Merged
from cyborg.agent.scan import Scanner
from cyborg.domain.errors import ConfigurationError
from cyborg.domain.hardware import address_of
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.drivers.contract import DriverEnvironment
from cyborg.drivers.host import Files, Host
from cyborg.drivers.host.pci import read_details, read_function
from cyborg.drivers.loader import load_drivers

#: Exit status if a driver could not look at the host.
LOOKING_FAILED = 1


@dataclass(frozen=True, slots=True)
class Shown:
    """One look at a host, as plain JSON data."""

    host: str
    #: Of each, its form in a report, and what more can be seen of it.
    devices: tuple[Mapping[str, Any], ...]
    #: ``address`` and ``reason`` of each.
    left_out: tuple[Mapping[str, str], ...]
    #: ``where`` and ``what`` of each.
    problems: tuple[Mapping[str, str], ...]
    #: A driver could not look.
    has_failed: bool


def show(conf: cfg.ConfigOpts, root: Path) -> Shown:
    """Look at a host once, and change nothing, not even what drivers remember.

    :param root: the host's root directory.
    :raises ConfigurationError: a driver is unknown, cannot be loaded, or refuses its options.
    """
    if not root.is_dir():
        raise ConfigurationError(f"--host-root {root} is no directory")
    host = Host(Path(conf.state_path) / "agent", Files(root), remembers=False)
    name = provider_name(conf)
    environment = DriverEnvironment(conf, name, host, time.sleep)
    drivers = load_drivers(environment)
    found = Scanner(drivers).look(conf.agent.discovery_timeout)
    # Their devices are at no address of this host.
    simulated = {driver.name for driver in drivers if driver.simulated}
    return Shown(
        host=name,
        devices=tuple(
            _device(None if device.driver in simulated else host, device)
            for device in found.snapshot.devices
        ),
        left_out=tuple(_left_out(found)),
        problems=tuple(_problems(found)),
        has_failed=bool(found.snapshot.failed_drivers),
    )


def _left_out(found: Merged) -> list[Mapping[str, str]]:
    pairs = sorted({(x.where, x.why) for each in found.not_offered.values() for x in each})
    return [{"address": where, "reason": why} for where, why in pairs]


def _problems(found: Merged) -> list[Mapping[str, str]]:
    return [
        {
            "where": trouble.where or trouble.device or driver,
            "what": trouble.what or trouble.text,
        }
        for driver, troubles in found.troubles.items()
        for trouble in troubles
    ]


def _device(host: Host | None, device: DeviceReport) -> Mapping[str, Any]:
    (wire,) = Snapshot((device,)).to_wire()["devices"]
    return {**wire, **_more(host, device), "reason": device.condition_reason}


def _more(host: Host | None, device: DeviceReport) -> Mapping[str, Any]:
    """Return what can be seen of the function at a device's address."""
    more: dict[str, Any] = dict.fromkeys(("kernel_driver", "numa_node", "iommu_group"))
    more["reset_methods"] = []
    if host is None:
        return more
    try:
        function = read_function(host, address_of(device.control_path))
        if function is None:
            return more
        details = read_details(host, function)
    except (OSError, ValueError):
        # It has no address, or went since.
        return more
    return {
        "kernel_driver": function.driver,
        "numa_node": details.numa_node,
        "iommu_group": None if function.iommu_group is None else int(function.iommu_group),
        "reset_methods": list(details.reset_methods),
    }
