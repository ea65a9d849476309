"""Options that the service learns from its drivers."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from oslo_config import cfg
from stevedore.extension import ExtensionManager

from cyborg.cmd import configuration
from cyborg.conf import opts
from cyborg.domain.errors import ConfigurationError
from cyborg.drivers.fake.driver import FakeDriver
from cyborg.drivers.loader import NAMESPACE
from cyborg.drivers.options import list_sample_opts, register
from cyborg.tests.unit.drivers.helpers import our_entry_points

HERE = "cyborg.tests.unit.drivers.test_options"


class SecondDriver(FakeDriver):
    """Of the same family as the fake driver, whose section it shares."""

    name = "second_driver"
    OPTIONS = (
        *FakeDriver.OPTIONS,
        (
            cfg.OptGroup("second_driver", help="The second one."),
            [cfg.IntOpt("size", default=1, min=1, mutable=True, help="How large it is.")],
        ),
    )


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Two drivers that work between two whose import does not."""
    (tmp_path / "driver_that_leaves.py").write_text("raise SystemExit(5)")
    (tmp_path / "driver_that_asserts.py").write_text("assert False")
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("leaving_driver", "driver_that_leaves:Driver", NAMESPACE),
        *our_entry_points(),
        EntryPoint("second_driver", f"{HERE}:SecondDriver", NAMESPACE),
        EntryPoint("asserting_driver", "driver_that_asserts:Driver", NAMESPACE),
    ]
    monkeypatch.setitem(ExtensionManager.ENTRY_POINT_CACHE, NAMESPACE, points)
    return points


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    opts.register(conf)
    return conf


def read(conf: cfg.ConfigOpts, path: Path, text: str) -> None:
    path.write_text(text)
    conf([], project="cyborg", default_config_files=[str(path)], default_config_dirs=[])


def test_the_service_itself_names_no_driver() -> None:
    assert "fake_driver" not in [group.name for group, _ in opts.list_opts() if group]


def test_the_sample_has_those_of_every_driver_that_can_be_loaded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listed = [(group.name, options) for group, options in list_sample_opts() if group]
    names = [name for name, _ in listed]
    assert {"agent", "fake_driver", "second_driver"} <= set(names)
    # Once for each driver that has it; the generator writes it once.
    assert [name for name in names if names.count(name) > 1] == ["fake_driver"] * 2
    warned = [
        record.message for record in caplog.records if record.name == "cyborg.drivers.options"
    ]
    assert len(warned) == 2
    assert "driver=leaving_driver" in warned[1]
    assert "driver=asserting_driver" in warned[0]


def test_what_cannot_be_loaded_has_no_options(conf: cfg.ConfigOpts) -> None:
    names = ["leaving_driver", "no_driver", "second_driver", "asserting_driver", "second_driver"]
    groups = [group.name for group, _ in register(conf, names)]
    assert groups == ["fake_driver", "second_driver"] * 2


@pytest.mark.parametrize("enabled", ["second_driver", "no_driver, second_driver, leaving_driver"])
def test_a_wrong_value_is_refused_by_its_name(
    conf: cfg.ConfigOpts, tmp_path: Path, enabled: str
) -> None:
    text = f"[agent]\nenabled_drivers = {enabled}\n[second_driver]\nsize = 0\n"
    read(conf, tmp_path / "cyborg.conf", text)
    with pytest.raises(ConfigurationError, match="size"):
        configuration.check(conf, needs_database=False)


def test_a_wrong_value_of_a_driver_that_is_not_enabled_is_not_looked_at(
    conf: cfg.ConfigOpts, tmp_path: Path
) -> None:
    read(conf, tmp_path / "cyborg.conf", "[second_driver]\nsize = 0\n")
    configuration.check(conf, needs_database=False)


def test_files_are_checked_for_the_drivers_that_run(conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    path = tmp_path / "cyborg.conf"
    read(conf, path, "[agent]\nenabled_drivers = second_driver\n[second_driver]\nsize = 2\n")
    configuration.check(conf, needs_database=False)
    assert conf.second_driver.size == 2
    path.write_text("[agent]\nenabled_drivers = fake_driver\n[second_driver]\nsize = 0\n")
    with pytest.raises(ConfigurationError, match="size"):
        configuration.check_files(conf)
    path.write_text("[agent]\nenabled_drivers = fake_driver\n[second_driver]\nsize = 3\n")
    configuration.check_files(conf)
    conf.mutate_config_files()
    assert conf.second_driver.size == 3
