"""Abacuses of Acme, which do not exist: the whole of a driver package outside of the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from oslo_config import cfg

from cyborg.drivers.contract import (
    DeployableReport,
    DeviceAway,
    DeviceCondition,
    DeviceReport,
    Discovery,
    Driver,
    Handle,
    HandleReport,
    JointDriver,
    NotNow,
    OptionGroup,
    Wanted,
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
    #: They are made ready, and cleaned.
    needs_work: ClassVar[bool] = False

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
            needs_prepare=self.needs_work,
            needs_release=self.needs_work,
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


class AcmeModuleDriver(JointDriver, AcmeDriver):
    """The abacuses are of one module, which is shaken as a whole."""

    name: ClassVar[str] = "acme_module_driver"
    contract_version: ClassVar[int] = 2
    needs_work: ClassVar[bool] = True

    def queue_of(self, device: str) -> str:
        """Return the module, whatever the abacus."""
        return "acme/module"

    def prepare_together(self, wanted: Sequence[Wanted], held: Sequence[Handle]) -> None:
        """Do nothing: an abacus that is there is ready."""
        self._require([each.handle for each in wanted])

    def release_together(self, handles: Sequence[Handle], held: Sequence[Handle]) -> None:
        """Shake the module, if nobody counts on it.

        :raises NotNow: somebody does.
        """
        self._require(handles)
        if held:
            raise NotNow(f"the module is shaken when {held[0].device} is released, too")

    def _require(self, handles: Sequence[Handle]) -> None:
        there = {device.identity for device in self.discover().devices}
        for handle in handles:
            if handle.device not in there:
                raise DeviceAway(f"{handle.device} is not on its shelf")
