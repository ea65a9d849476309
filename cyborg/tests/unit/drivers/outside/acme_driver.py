"""Abacuses of Acme, which do not exist: the whole of a driver package outside of the tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from oslo_config import cfg

from cyborg.drivers.contract import (
    DeployableReport,
    DeviceCondition,
    DeviceReport,
    Discovery,
    Driver,
    Handle,
    HandleReport,
    OptionGroup,
)

GROUP = cfg.OptGroup("acme", title="Abacuses of Acme")
OPTS = [
    cfg.IntOpt("abacuses", default=1, min=0, max=8, mutable=True, help="How many there are."),
]


class AcmeDriver(Driver):
    """Devices and handles are of types that nobody else has heard of."""

    name: ClassVar[str] = "acme_driver"
    simulated: ClassVar[bool] = True
    OPTIONS: ClassVar[tuple[OptionGroup, ...]] = ((GROUP, OPTS),)

    def discover(self) -> Discovery:
        """Return as many as are configured."""
        count = self.environment.conf.acme.abacuses
        return Discovery(tuple(self._device(number) for number in range(count)))

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Do nothing: no deployable says that it needs it."""

    def release(self, handle: Handle) -> None:
        """Do nothing: no deployable says that it needs it."""

    def _device(self, number: int) -> DeviceReport:
        part = DeployableReport(
            name=f"{self.environment.host_name}_abacus_{number}",
            resource_class="CUSTOM_ABACUS",
            num_accelerators=1,
            driver_name="acme",
            # The type is nobody else's, so it says itself which hardware this is.
            handles=(HandleReport("BEADS", {"shelf": str(number)}, key=f"shelf/{number}"),),
        )
        return DeviceReport(
            driver=self.name,
            identity=f"abacus-{number}",
            type="ABACUS",
            vendor="acme",
            model="Abacus",
            deployables=(part,),
            condition=DeviceCondition.HEALTHY,
        )
