"""What an agent on the lab's host is made of, with nothing in it that is not real."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from cyborg import no_eventlet  # noqa: F401 - before everything of oslo's
from cyborg.drivers.contract import Discovery, DriverEnvironment, Handle
from cyborg.drivers.host import Files, Host
from cyborg.drivers.host.pci import info_of
from cyborg.drivers.loader import register_options
from cyborg.drivers.pci.driver import PciDriver
from cyborg.privileged.holders import Holders
from cyborg.privileged.operators_list import OperatorsList
from cyborg.privileged.verbs import LocalVerbs
from cyborg.privileged.writer import ChildWriter

Entries = Sequence[Mapping[str, Any]]

HOST_NAME = "qemulab"

#: Allows everything, but nothing that asks for more than that.
EVERYTHING: Entries = ({"address": "*:*:*.*"},)
#: Allows all that can be allowed.
EVEN_MORE: Entries = ({"address": "*:*:*.*", "keeps_data": "allowed", "no_reset": "allowed"},)


def make_conf(entries: Entries, **options: object) -> cfg.ConfigOpts:
    """Return an agent's options, as far as the driver has some."""
    conf = cfg.ConfigOpts()
    register_options(conf, PciDriver)
    conf([], project="cyborg", default_config_files=[], default_config_dirs=[])
    values = {"passthrough_whitelist": [json.dumps(entry) for entry in entries], **options}
    for name, value in values.items():
        conf.set_override(name, value, group="pci")
    return conf


class Parts:
    """The driver, the host below it, and the verbs, which are done in this process."""

    def __init__(
        self,
        state: Path,
        conf: cfg.ConfigOpts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin as an agent does.

        :param state: the directory where it keeps what it knows.
        :param clock: by which the driver is patient.
        """
        files = Files()
        self.host = Host(state, files)
        self.verbs = LocalVerbs(
            self.host,
            ChildWriter(),
            Holders(self.host, files),
            OperatorsList(self.host, lambda: conf.pci.passthrough_whitelist).allows,
            lambda: float(conf.pci.reset_timeout),
        )
        environment = DriverEnvironment(conf, HOST_NAME, self.host, time.sleep, self.verbs, clock)
        self.driver = PciDriver(environment)
        self.driver.configure()


#: Makes the parts of an agent from the entries of its list, and more of its options.
MakeParts = Callable[..., Parts]


def handle_at(address: str, device: str | None = None) -> Handle:
    """Return the handle of a function.

    :param device: the function that it is a virtual one of.
    """
    card = device or address
    return Handle(f"handle-{address}", card, f"{HOST_NAME}_{card}", "PCI", info_of(address))


def offered(found: Discovery) -> dict[str, list[str]]:
    """Return the addresses of the handles of each card that has some."""
    return {
        device.identity: [
            "{domain}:{bus}:{device}.{function}".format_map(handle.info)
            for deployable in device.deployables
            for handle in deployable.handles
        ]
        for device in found.devices
        if device.deployables
    }


def left_out(found: Discovery) -> dict[str, str]:
    """Return why each function that is not offered is not."""
    return {each.where: each.why for each in found.not_offered}
