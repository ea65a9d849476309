"""Which clean steps are done, in which order and for how long: what an operator may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from oslo_config import cfg

from cyborg.drivers.contract import CleanStep, ConfigurationError, chosen_steps, clean_options

STEPS = (
    CleanStep("erase", "erase all", timeout=60),
    CleanStep("verify", "read it all", after=("erase",), optional=True),
    CleanStep("test", "test it", optional=True),
)


def chosen(**values: object) -> list[tuple[str, float | None]]:
    conf = cfg.ConfigOpts()
    conf.register_opts(clean_options(STEPS, ["erase", "verify"]), "ssd")
    conf([], project="test", default_config_files=[])
    for name, value in values.items():
        conf.set_override(name, value, "ssd")
    return [(step.name, step.timeout) for step in chosen_steps(STEPS, conf.ssd, "ssd")]


def test_by_default() -> None:
    assert chosen() == [("erase", 60), ("verify", None)]


def test_an_operator_chooses() -> None:
    assert chosen(clean_steps=["test", "erase"], clean_timeouts={"test": 7.5, "verify": 1.0}) == [
        ("test", 7.5),
        ("erase", 60),
    ]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"clean_steps": ["erase", "wipe"]}, "there is no step 'wipe'; there are erase, verify"),
        ({"clean_steps": ["erase", "erase"]}, "erase is named twice"),
        ({"clean_steps": ["verify", "erase"]}, "verify must come after erase"),
        ({"clean_steps": ["test"]}, "erase cannot be left out"),
        ({"clean_steps": []}, "erase cannot be left out"),
        ({"clean_timeouts": {"wipe": 1.0}}, "clean_timeouts: there is no step 'wipe'"),
    ],
)
def test_what_cannot_be_done_is_refused(values: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^\[ssd\] clean_"):
        chosen(**values)
    with pytest.raises(ConfigurationError, match=why):
        chosen(**values)


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1e9"])
def test_a_timeout_is_of_seconds(tmp_path: Path, seconds: str) -> None:
    file = tmp_path / "cyborg.conf"
    file.write_text(f"[ssd]\nclean_timeouts = erase:{seconds}\n")
    conf = cfg.ConfigOpts()
    conf.register_opts(clean_options(STEPS, ["erase"]), "ssd")
    conf([], project="test", default_config_files=[str(file)])
    with pytest.raises(cfg.ConfigFileValueError):
        chosen_steps(STEPS, conf.ssd, "ssd")


def test_the_help_says_what_there_is() -> None:
    [steps, _] = clean_options(STEPS, ["erase"])
    assert "erase: erase all; verify: read it all (may be left out)" in (steps.help or "")
