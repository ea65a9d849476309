import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from oslo_config import cfg
from stevedore.extension import ExtensionManager

from cyborg.domain.errors import ConfigurationError
from cyborg.drivers.contract import VERSION, Driver, DriverEnvironment, JointDriver
from cyborg.drivers.fake.driver import FakeDriver
from cyborg.drivers.loader import NAMESPACE, load_drivers
from cyborg.tests.unit.drivers.helpers import make_conf, make_environment, our_entry_points

HERE = "cyborg.tests.unit.drivers.test_loader"


class SecondDriver(FakeDriver):
    name = "second_driver"


class BrokenDriver(FakeDriver):
    name = "broken_driver"

    def __init__(self, environment: DriverEnvironment) -> None:
        raise RuntimeError("no\nhardware")


class SectionDriver(FakeDriver):
    """Needs its options when it is made."""

    name = "section_driver"
    OPTIONS = ((cfg.OptGroup("section_driver"), [cfg.StrOpt("path", default="somewhere")]),)

    def __init__(self, environment: DriverEnvironment) -> None:
        super().__init__(environment)
        assert environment.conf.section_driver.path == "somewhere"


class ThiefDriver(FakeDriver):
    """Gives an option of the service another meaning."""

    name = "thief_driver"
    OPTIONS = ((cfg.OptGroup("agent"), [cfg.StrOpt("discovery_timeout")]),)


class MixedDriver(JointDriver, FakeDriver):
    name = "mixed_driver"


class NonsenseDriver(FakeDriver):
    name = "nonsense_driver"
    OPTIONS = (cfg.StrOpt("path"),)  # type: ignore[assignment]  # what it must not be


class MuddledDriver(FakeDriver):
    name = "muddled_driver"

    def configure(self) -> None:
        raise KeyError("an option")


class RefusingDriver(FakeDriver):
    name = "refusing_driver"

    def configure(self) -> None:
        raise ConfigurationError("[agent] enabled_drivers: none of this")


class LaterDriver(FakeDriver):
    name = "later_driver"
    contract_version = VERSION + 1


class NotADriver:
    name = "not_a_driver"

    def __init__(self, environment: DriverEnvironment) -> None:
        pass


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Stand for what pip has installed, which need not be this code."""
    points = [
        *our_entry_points(),
        EntryPoint("second_driver", f"{HERE}:SecondDriver", NAMESPACE),
        EntryPoint("section_driver", f"{HERE}:SectionDriver", NAMESPACE),
        EntryPoint("thief_driver", f"{HERE}:ThiefDriver", NAMESPACE),
        EntryPoint("nonsense_driver", f"{HERE}:NonsenseDriver", NAMESPACE),
        EntryPoint("broken_driver", f"{HERE}:BrokenDriver", NAMESPACE),
        EntryPoint("muddled_driver", f"{HERE}:MuddledDriver", NAMESPACE),
        EntryPoint("refusing_driver", f"{HERE}:RefusingDriver", NAMESPACE),
        EntryPoint("mixed_driver", f"{HERE}:MixedDriver", NAMESPACE),
        EntryPoint("later_driver", f"{HERE}:LaterDriver", NAMESPACE),
        EntryPoint("not_a_driver", f"{HERE}:NotADriver", NAMESPACE),
        EntryPoint("misnamed_driver", f"{HERE}:SecondDriver", NAMESPACE),
        EntryPoint("lost_driver", "cyborg.no_such_module:Driver", NAMESPACE),
    ]
    monkeypatch.setitem(ExtensionManager.ENTRY_POINT_CACHE, NAMESPACE, points)
    return points


def load(*names: str) -> tuple[Driver, ...]:
    return load_drivers(make_environment(make_conf(agent={"enabled_drivers": list(names)})))


def test_every_driver_of_ours_can_be_imported() -> None:
    for point in our_entry_points():
        assert issubclass(point.load(), Driver)


def test_default() -> None:
    (driver,) = load_drivers(make_environment(make_conf()))
    assert isinstance(driver, FakeDriver)


def test_order_is_kept_and_duplicates_are_removed() -> None:
    loaded = load("second_driver", "fake_driver", "second_driver")
    assert [driver.name for driver in loaded] == ["second_driver", "fake_driver"]


def test_options_are_registered_before_the_driver_is_made() -> None:
    (driver,) = load("section_driver")
    assert driver.environment.conf.section_driver.path == "somewhere"


def test_none() -> None:
    assert load() == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_driver", r"no driver named no_driver; known: broken_driver, fake_driver, "),
        ("broken_driver", r"broken_driver cannot be loaded: RuntimeError: no hardware$"),
        ("lost_driver", r"lost_driver cannot be loaded: ModuleNotFoundError: "),
        (
            "thief_driver",
            r"thief_driver cannot be loaded: DuplicateOptError: .*_timeout$",
        ),
        ("nonsense_driver", r"nonsense_driver cannot be loaded: TypeError: "),
        ("not_a_driver", r"NotADriver is not a driver that calls itself not_a_driver$"),
        ("muddled_driver", r"muddled_driver cannot be loaded: KeyError: 'an option'$"),
        ("refusing_driver", r"none of this$"),
        (
            "mixed_driver",
            r"mixed_driver is a JointDriver and a StepwiseDriver, which do not go together$",
        ),
        (
            "later_driver",
            rf"later_driver needs version {VERSION + 1} of the drivers' contract, and this agent "
            rf"has {VERSION}$",
        ),
        ("misnamed_driver", r"SecondDriver is not a driver that calls itself misnamed_driver$"),
    ],
)
def test_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load("fake_driver", name)
    assert str(caught.value).startswith("[agent] enabled_drivers: ")
    assert "\n" not in str(caught.value)


def test_who_is_not_enabled_is_not_imported(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_never.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    installed.append(EntryPoint("other_driver", "imported_never:Driver", NAMESPACE))
    load("fake_driver")
    with pytest.raises(ConfigurationError, match=r"known: .*other_driver"):
        load("no_driver")
    assert "imported_never" not in sys.modules


def test_two_of_the_same_name(installed: list[EntryPoint]) -> None:
    installed.append(EntryPoint("fake_driver", f"{HERE}:SecondDriver", NAMESPACE))
    with pytest.raises(ConfigurationError, match="multiple implementations"):
        load("fake_driver")


def test_nothing_installed(installed: list[EntryPoint]) -> None:
    installed.clear()
    with pytest.raises(ConfigurationError, match="known: none is installed"):
        load("fake_driver")
