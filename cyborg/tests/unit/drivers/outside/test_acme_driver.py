from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from acme_driver import AcmeDriver, AcmeModuleDriver

from cyborg.testing.drivers import DriverConformance


class TestAcmeDriver(DriverConformance):
    driver_class = AcmeDriver

    def options(self, directory: Path) -> Mapping[str, Mapping[str, object]]:
        return {"acme": {"abacuses": 2}}


class TestAcmeModuleDriver(TestAcmeDriver):
    driver_class = AcmeModuleDriver
