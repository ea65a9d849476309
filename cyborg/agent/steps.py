"""How each step of work is done: one performer for each class of :mod:`cyborg.domain.work`.

A new step needs its class there and its performer here, in :data:`PERFORMERS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from cyborg.domain.errors import CyborgError
from cyborg.domain.work import Prepare, Program, Release, Step, Work
from cyborg.drivers.contract import (
    Bitstream,
    CleanStep,
    Driver,
    Programmable,
    Progress,
    StepwiseDriver,
)

S = TypeVar("S", bound=Step)


class CannotPerform(CyborgError):
    """This agent has nothing that could do a step; ``str(error)`` says what is missing."""

    code = "cyborg.cannot_perform"


class BitstreamSource(Protocol):
    """The part of :class:`cyborg.agent.bitstreams.Bitstreams` that work needs."""

    def fetch(self, image_uuid: str, project_id: str | None) -> Bitstream:
        """Return a bitstream as a file, which stays until it is released."""

    def release(self, bitstream: Bitstream) -> None:
        """Let the file go."""


@dataclass(frozen=True, slots=True)
class Part:
    """One call of a driver. A step has one; or several, which are done and recorded in turn."""

    name: str
    #: Calls the driver.
    act: Callable[[Progress], None]
    #: Seconds that it may take; None: as long as such a call may.
    timeout: float | None = None


class Performer(ABC, Generic[S]):
    """Does one step of one piece of work. Its methods are called in the order below."""

    #: Whether :meth:`make_ready` takes long, so that the card is free meanwhile.
    slow_to_make_ready: ClassVar[bool] = False
    #: Whether :meth:`check` asks the driver.
    checks: ClassVar[bool] = False
    #: Whether the host's report is another one once it has acted.
    changes_report: ClassVar[bool] = False

    def __init__(self, step: S, driver: Driver, bitstreams: BitstreamSource) -> None:
        """Make a performer that has done nothing yet.

        :raises CannotPerform: if the driver has no call for such a step.
        """
        self.step = step
        self.driver = driver
        self.bitstreams = bitstreams

    @abstractmethod
    def log_fields(self) -> str:
        """Return what the log says of the step."""

    def make_ready(self) -> None:
        """Get what is needed, before the step waits for its card. Touches no hardware.

        :raises CyborgError: if it cannot be had.
        """
        return

    def check(self) -> None:
        """Look, at the card's turn, whether it would be right to act. Touches no hardware.

        :raises DriverError: if it would not.
        """
        return

    def parts(self) -> Sequence[Part]:
        """Return the calls of which the step consists, at least one."""
        return (Part(self.step.name, lambda _progress: self.act()),)

    @abstractmethod
    def act(self) -> None:
        """Call the driver for the whole step.

        :raises DriverError: if it did not work; ``DeviceAway`` if the device is not there.
        """

    def let_go(self) -> None:
        """Give back what :meth:`make_ready` got. Called once, whatever has happened."""
        return


class PreparePerformer(Performer[Prepare]):
    """Makes a handle ready."""

    def log_fields(self) -> str:
        return f"handle={self.step.handle.uuid}"

    def act(self) -> None:
        self.driver.prepare(self.step.handle, self.step.group)


class ReleasePerformer(Performer[Release]):
    """Takes a handle back."""

    def log_fields(self) -> str:
        return f"handle={self.step.handle.uuid}"

    def parts(self) -> Sequence[Part]:
        driver = self.driver
        if not isinstance(driver, StepwiseDriver):
            return super().parts()
        steps = driver.clean_steps(self.step.handle)
        # Without one, the whole refuses.
        return [self._part(driver, step) for step in steps] or super().parts()

    def act(self) -> None:
        self.driver.release(self.step.handle)

    def _part(self, driver: StepwiseDriver, step: CleanStep) -> Part:
        return Part(step.name, partial(driver.clean, self.step.handle, step.name), step.timeout)


class ProgramPerformer(Performer[Program]):
    """Programs a region with a bitstream that it has fetched before."""

    slow_to_make_ready = True
    checks = True
    changes_report = True

    def __init__(self, step: Program, driver: Driver, bitstreams: BitstreamSource) -> None:
        super().__init__(step, driver, bitstreams)
        if not isinstance(driver, Programmable):
            raise CannotPerform(f"The driver {driver.name} cannot program.")
        self._programmable: Programmable = driver
        self._bitstream: Bitstream | None = None

    def log_fields(self) -> str:
        return f"deployable={self.step.region.deployable} image={self.step.image_uuid}"

    def make_ready(self) -> None:
        self._bitstream = self.bitstreams.fetch(self.step.image_uuid, self.step.project_id)

    def check(self) -> None:
        self._programmable.check(self.step.region, self._fetched())

    def act(self) -> None:
        self._programmable.program(self.step.region, self._fetched())

    def let_go(self) -> None:
        if self._bitstream is not None:
            self.bitstreams.release(self._bitstream)

    def _fetched(self) -> Bitstream:
        assert self._bitstream is not None
        return self._bitstream


#: Who does which step.
PERFORMERS: dict[type[Step], type[Performer[Any]]] = {
    Prepare: PreparePerformer,
    Release: ReleasePerformer,
    Program: ProgramPerformer,
}


def performers_of(
    work: Work, drivers: Mapping[str, Driver], bitstreams: BitstreamSource
) -> tuple[Performer[Any], ...]:
    """Return who does the steps of a piece of work, in their order.

    :raises CannotPerform: if its driver is not enabled or has no call for one of the steps.
    """
    driver = drivers.get(work.driver)
    if driver is None:
        raise CannotPerform(f"The driver {work.driver} is not enabled on this host.")
    return tuple(_performer(step)(step, driver, bitstreams) for step in work.steps)


def _performer(step: Step) -> type[Performer[Any]]:
    try:
        return PERFORMERS[type(step)]
    except KeyError as error:
        raise CannotPerform(f"This agent does not know how to {step.name}.") from error
