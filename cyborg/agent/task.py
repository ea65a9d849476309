"""A piece of work on its way through the agent, from its message to its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oslo_context import context
from oslo_log import log

from cyborg.agent.calls import CallNotBegun, Calls, CardHangs
from cyborg.agent.job_reports import Ended, reason
from cyborg.agent.steps import Part, Performer
from cyborg.domain.errors import CyborgError
from cyborg.domain.work import Release, Work, WorkProgress
from cyborg.drivers.contract import DeviceAway, DriverError, NotNow

LOG = log.getLogger(__name__)


@dataclass(slots=True)
class UnderWay:
    """A call of a driver that has not returned, as far as it is known."""

    name: str
    #: Of the clock that never goes back.
    begun: float
    #: As the driver has said last.
    percent: float | None = None

    def progress(self, percent: float) -> None:
        """Take how much of it is done. What is no number is not known."""
        try:
            self.percent = min(100.0, max(0.0, float(percent)))
        except (TypeError, ValueError):
            self.percent = None


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
    #: What the driver is at.
    under_way: UnderWay | None = field(default=None, init=False)

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

    def progress(self) -> WorkProgress | None:
        """Return what its driver is at, if it is at anything."""
        call = self.under_way
        if call is None:
            return None
        percent = None if call.percent is None else int(call.percent)
        seconds = time.monotonic() - call.begun
        return WorkProgress(self.work.job_uuid, self.work.generation, call.name, seconds, percent)

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
        hanging = self.calls.blocking(self.queue)
        if hanging is not None:
            return self._hangs(number, CardHangs(hanging))
        performer = self.performers[number]
        if not performer.checks:
            return None
        return self._called(number, Part("check", lambda _progress: performer.check()))

    def parts(self, number: int) -> Sequence[Part] | Ended:
        """Return the calls of which a step consists, or how it failed."""
        try:
            return self.performers[number].parts()
        except Exception as error:  # a driver may raise anything
            return self._has_bug(number, error)

    def act(self, number: int, part: Part) -> Ended | None:
        """Let the driver do a part of a step; return None, or how it failed."""
        return self._called(number, part)

    def let_go(self) -> None:
        """Give back what was got to make it ready."""
        for performer in self.performers:
            performer.let_go()

    def act_with(self, others: Sequence[Task], part: Part) -> Ended | None:
        """Let the driver do the only step of several tasks at once."""
        return self._called(0, part, (self, *others))

    def _called(self, number: int, part: Part, tasks: Sequence[Task] = ()) -> Ended | None:
        tasks = tasks or (self,)
        longest = self.performers[number].driver.longest_call
        call = UnderWay(part.name, time.monotonic())
        for each in tasks:
            each.under_way = call
        try:
            self.calls.make(
                sorted({each.work.device for each in tasks}),
                part.name,
                " ".join(each.performers[number].log_fields() for each in tasks),
                lambda: part.act(call.progress),
                queue=self.queue,
                longest=longest,
                timeout=part.timeout,
            )
        except CardHangs as error:
            return self._hangs(number, error)
        except CallNotBegun as error:
            return replace(self._failed("work not begun", number, error), not_begun=True)
        except NotNow as error:
            return replace(self._failed("work waits", number, error), not_begun=True)
        except DriverError as error:
            return self._failed("work failed", number, error)
        except (Exception, SystemExit) as error:  # a driver may raise anything
            return self._has_bug(number, error)
        finally:
            for each in tasks:
                each.under_way = None
        return None

    def _has_bug(self, number: int, error: BaseException) -> Ended:
        LOG.error("driver has a bug %s", self.log_fields(), exc_info=error)
        text = f"The driver {self.work.driver} failed: {type(error).__name__}: {error}"
        return Ended(self._reason(number, text[:1000]))

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
