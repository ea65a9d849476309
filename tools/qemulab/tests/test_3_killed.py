"""Killed at any of its steps, an agent has done its work or not, and never half of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agents_parts import EVERYTHING, handle_at
from real_host import DEVICES, NETWORK_WITH_FUNCTIONS, driver_of, read, rebind, virtual_functions
from resets import Resets
from small_agent import Life, Lived, Nursery

from cyborg.domain.work import Handle

#: Notes a value with the outcome of a test.
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A virtual function that its host's operator has given to vfio-pci, so that it is as found
    with it, and those who ask who has it get a real answer."""
    address = virtual_functions(NETWORK_WITH_FUNCTIONS)[-1]
    rebind(address, "vfio-pci")
    yield address
    rebind(address, "igbvf")


class Trial:
    """An agent and what comes after it, on a card, with what it knows in a directory."""

    def __init__(self, nursery: Nursery, state: Path, handle: Handle) -> None:
        self._nursery = nursery
        self.state = state
        self.handle = handle

    def life(self, step: str, job: int, generation: int = 1) -> Life:
        """Return a life that nobody ends."""
        return Life(
            str(self.state),
            EVERYTHING,
            step,
            self.handle,
            str(uuid.UUID(int=job)),
            generation,
        )

    def live(self, life: Life, dies_at: int | None = None) -> Lived:
        """Let an agent live."""
        return self._nursery.live(replace(life, dies_at=dies_at))

    @property
    def given(self) -> Any:
        """What the driver knows of the function as given; None if nothing."""
        return self._known("pci_driver.json").get("given", {}).get(_address(self.handle))

    def journaled(self, life: Life) -> Any:
        """Return the phase that the journal has of a job; None if it knows nothing."""
        return self._known(f"journal/{life.job}.json").get("phase")

    def _known(self, name: str) -> dict[str, Any]:
        path = self.state / name
        # What is there is whole, or this fails.
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found


def _address(handle: Handle) -> str:
    return "{domain}:{bus}:{device}.{function}".format_map(handle.info)


@pytest.fixture
def trials(nursery: Nursery, address: str, tmp_path: Path) -> Iterator[Trial]:
    """As many as a test wants, each with nothing behind it."""
    handle = handle_at(address, NETWORK_WITH_FUNCTIONS)
    return (Trial(nursery, tmp_path / str(number), handle) for number in range(1000))


def _is_as_found(address: str) -> None:
    assert driver_of(address) == "vfio-pci"
    assert read(DEVICES / address / "driver_override") == "vfio-pci"


def test_prepare(
    trials: Iterator[Trial], address: str, resets: Resets, record_property: Record
) -> None:
    undisturbed = next(trials)
    whole = undisturbed.live(undisturbed.life("prepare", 1))
    assert [said.error for said in whole.said] == [None]
    assert undisturbed.given == {"board": _board(address), "driver": "vfio-pci"}
    _steps_are_all(whole, parts=1, changes_the_card=False)
    begun = time.monotonic()
    killed = 0
    for number in range(1, len(whole.steps) + 1):
        trial = next(trials)
        life = trial.life("prepare", 1)
        lived = trial.live(life, dies_at=number)
        assert lived.was_killed and not lived.said
        killed += 1
        assert trial.journaled(life) != "finished" or trial.given is not None
        again = trial.live(replace(life, generation=2))
        assert [said.error for said in again.said] == [None], whole.steps[number - 1]
        assert trial.given == undisturbed.given
        assert trial.journaled(life) == "finished"
        _is_as_found(address)
    assert killed >= len(whole.steps)
    assert not resets.of(address, begun), "nothing is reset that is given"
    record_property("kills", killed)


def test_release(
    trials: Iterator[Trial], address: str, resets: Resets, record_property: Record
) -> None:
    undisturbed = next(trials)
    undisturbed.live(undisturbed.life("prepare", 1))
    begun = time.monotonic()
    whole = undisturbed.live(undisturbed.life("release", 2))
    assert [said.error for said in whole.said] == [None]
    assert len(resets.of(address, begun)) == 1
    _steps_are_all(whole, parts=2, changes_the_card=True)
    killed = 0
    for number in range(1, len(whole.steps) + 1):
        trial = next(trials)
        prepared = trial.live(trial.life("prepare", 1))
        assert [said.error for said in prepared.said] == [None]
        begun = time.monotonic()
        life = trial.life("release", 2)
        lived = trial.live(life, dies_at=number)
        assert lived.was_killed and not lived.said
        killed += 1
        if not resets.of(address, begun):
            assert trial.given is not None, "it is forgotten, and was not reset"
            assert trial.journaled(life) != "finished", "it is done, and was not reset"
        again = trial.live(replace(life, generation=2))
        (said,) = again.said
        assert said.error is None, whole.steps[number - 1]
        first = resets.of(address, begun)[0]
        assert first.at < said.at, "its handle was free before it was reset"
        assert trial.given is None
        assert trial.journaled(life) == "finished"
        _is_as_found(address)
    assert killed >= len(whole.steps)
    record_property("kills", killed)


def _board(address: str) -> str:
    names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
    return ":".join(read(DEVICES / address / name).removeprefix("0x") for name in names)


def _steps_are_all(lived: Lived, *, parts: int, changes_the_card: bool) -> None:
    """See that what is counted is what we think: the journal, the driver's memory, the kernel.

    :param parts: how many calls of the driver the work consists of, each asked for and recorded.
    """
    print("\n".join(lived.steps))
    steps = "\n".join(lived.steps)
    assert steps.count(f"os.rename {_new_journal(lived)}") == parts + 1
    assert steps.count("ask the conductor") == parts
    assert steps.count("tell the conductor") == 1
    assert "pci_driver.new" in steps
    assert "open /dev/vfio/" in steps
    assert ("/reset (its writer)" in steps) == changes_the_card


def _new_journal(lived: Lived) -> str:
    """Return where the job of a life is journaled, before it is renamed."""
    return next(
        step.removeprefix("open ")
        for step in lived.steps
        if "/journal/" in step and step.startswith("open ")
    )
