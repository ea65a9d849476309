"""The drivers' contract as tests: what the agent relies on, asked of one driver.

In a test module, derive a class whose name begins with ``Test`` from :class:`DriverConformance`
and give it the driver; pytest does the rest::

    class TestExample(DriverConformance):
        driver_class = ExampleDriver

        def populate(self, directory: Path) -> None:
            ...  # the hardware that is found, two devices or more

Derive from :class:`HostConformance` for a driver that reads a host, and name hosts of
:mod:`cyborg.testing.hosts`: on each of them it is tried with one file after the other broken, with
verbs that fail, and with devices that vanish.

Derive from :class:`ProgrammableConformance` too if devices can be programmed, and from
:class:`UnreadableDeviceConformance` if one of them can be unreadable. Every promise is one
test, whose name says what is broken.
"""

import pytest

# So that a failed assertion of ours shows its values, as one of a test module does.
pytest.register_assert_rewrite(
    *(f"{__name__}.{each}" for each in ("conformance", "host_conformance", "programmable"))
)

from cyborg.testing.drivers.conformance import (  # noqa: E402 -- after the line above
    DriverConformance,
    UnreadableDeviceConformance,
)
from cyborg.testing.drivers.environment import (  # noqa: E402
    HOST_NAME,
    make_conf,
    make_environment,
)
from cyborg.testing.drivers.host_conformance import HostConformance  # noqa: E402 -- as above
from cyborg.testing.drivers.machine import Machine  # noqa: E402
from cyborg.testing.drivers.programmable import ProgrammableConformance  # noqa: E402

__all__ = [
    "HOST_NAME",
    "DriverConformance",
    "HostConformance",
    "Machine",
    "ProgrammableConformance",
    "UnreadableDeviceConformance",
    "make_conf",
    "make_environment",
]
