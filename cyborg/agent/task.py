"""A piece of work on its way through the agent, from its message to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from oslo_context import context
from oslo_log import log

from cyborg.agent.calls import CallNotBegun, Calls, CardHangs
from cyborg.agent.job_reports import Ended, reason
from cyborg.agent.steps import Performer
from cyborg.domain.errors import CyborgError
from cyborg.domain.work import Release, Work
from cyborg.drivers.contract import DeviceAway, DriverError

LOG = log.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Task:
    """Work that is made ready, waits or runs. The executor's lock guards what changes.

    The methods turn whatever a driver raises into an end with a reason, for users to read.
    """

    #: Replaced by one of a higher generation when the conductor asks again.
    work: Work
    #: Who does the steps, in their order.
    performers: tuple[Performer[Any], ...]
    #: Of the message that brought it: its request id is in the log lines of its threads.
    context: context.RequestContext | None
    #: How drivers are called.
    calls: Calls
    #: In which it waits for its turn.
    queue: str
    #: Its job has been turned since: nobody is told of its end.
    superseded: bool = False

    def work_for_its_request(self) -> None:
        """Let this thread's log lines and messages carry the id of the task's request."""
        if self.context is not None:
            self.context.update_store()

    def log_fields(self) -> str:
        """Return what the log says of it."""
        work = self.work
        subjects = " ".join(performer.log_fields() for performer in self.performers)
        return (
            f"job={work.job_uuid} generation={work.generation} kind={work.kind} "
            f"device={work.device} {subjects}"
        )

    @property
    def is_slow_to_make_ready(self) -> bool:
        """Whether it should not hold up its card while it is made ready."""
        return any(performer.slow_to_make_ready for performer in self.performers)

    def make_ready(self) -> Ended | None:
        """Get what all steps need; return None, or how that failed."""
        for number, performer in enumerate(self.performers):
            try:
                performer.make_ready()
            except CyborgError as failure:
                return self._failed("work not made ready", number, failure)
        return None

    def check(self, number: int) -> Ended | None:
        """Return None if a step may be done, else how it failed. Touches nothing."""
        hanging = self.calls.hanging(self.work.device)
        if hanging is not None:
            return self._hangs(number, CardHangs(hanging))
        performer = self.performers[number]
        return self._called(number, "check", performer.check) if performer.checks else None

    def act(self, number: int) -> Ended | None:
        """Let the driver do a step; return None, or how it failed."""
        return self._called(number, self.work.steps[number].name, self.performers[number].act)

    def let_go(self) -> None:
        """Give back what was got to make it ready."""
        for performer in self.performers:
            performer.let_go()

    def _called(self, number: int, name: str, call: Callable[[], None]) -> Ended | None:
        performer = self.performers[number]
        longest = performer.driver.longest_call
        try:
            self.calls.make(self.work.device, name, performer.log_fields(), call, longest)
        except CardHangs as error:
            return self._hangs(number, error)
        except CallNotBegun as error:
            return replace(self._failed("work not begun", number, error), not_begun=True)
        except DriverError as error:
            return self._failed("work failed", number, error)
        except (Exception, SystemExit) as error:  # a driver may raise anything
            LOG.exception("driver has a bug %s", self.log_fields())
            text = f"The driver {self.work.driver} failed: {type(error).__name__}: {error}"
            return Ended(self._reason(number, text[:1000]))
        return None

    def _hangs(self, number: int, error: CardHangs) -> Ended:
        """Return how a step ends whose card hangs.

        What was to be released is as far from being clean as on a card that is away, and is
        cleaned as that is: when it works again.
        """
        ended = self._failed("work failed, the card hangs", number, error)
        return replace(ended, away=isinstance(self.work.steps[number], Release))

    def _failed(self, event: str, number: int, error: CyborgError) -> Ended:
        why = self._reason(number, str(error))
        LOG.warning("%s %s reason=%s", event, self.log_fields(), why)
        return Ended(why, isinstance(error, DeviceAway))

    def _reason(self, number: int, text: str) -> str:
        steps = self.work.steps
        if len(steps) == 1:
            return reason(text)
        return reason(f"Step {number + 1} of {len(steps)}, {steps[number].name}: {reason(text)}")
