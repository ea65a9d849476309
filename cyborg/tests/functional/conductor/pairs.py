"""Two things that are done to the same ARQ, handle or device at the same time: how each may end.

A kind makes what it needs before, says what is done at once, and what must be so afterwards. It
has a host of its own, so that many kinds, or the same one many times, run beside each other.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar

import sqlalchemy as sa

from cyborg.conductor import (
    binding,
    catalogue,
    creating,
    finishing,
    inventory,
    programming,
    releasing,
)
from cyborg.conductor.environment import Environment
from cyborg.db.accelerator_requests import list_requests
from cyborg.db.devices import list_devices
from cyborg.db.tables import accelerator_requests
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import CyborgError
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.domain.model import AcceleratorRequest, DeviceStatus
from cyborg.domain.states import ArqState
from cyborg.tests.helpers import RecordingAgents, deployable, device

#: A profile of many ARQs, each of which is bound alone.
MANY = "many"

PROJECT = "11111111111111111111111111111111"

#: Statuses of the API that a race may end with, beside success.
HARMLESS = {404, 409, 503}

#: Seconds that one of two begins after the other, at most.
SPREAD = 0.004

#: Of what is left to chance.
SEED = int(os.environ.get("CYBORG_TEST_PAIRS_SEED", "1"))

#: Whether an ARQ is there: the cheapest way to ask, since it is asked after each round.
_SHOWN = sa.select(accelerator_requests.c.id).where(
    accelerator_requests.c.uuid == sa.bindparam("wanted"),
    accelerator_requests.c.state != ArqState.DELETING,
)

Action = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class End:
    """How one of two has ended."""

    #: None: well.
    code: str | None = None

    @property
    def well(self) -> bool:
        return self.code is None


class Arena(ABC):
    """Where one kind of race is run again and again, one after the other."""

    #: What the host's only part is like.
    handles: ClassVar[int] = 4
    needs_work: ClassVar[bool] = False
    #: ARQs that are given back together, since that is not what is tried either.
    together: ClassVar[int] = 1

    def __init__(self, env: Environment, number: int, seed: int) -> None:
        self.agents = RecordingAgents()
        self.env = dataclasses.replace(env, agents=self.agents)
        self.host = f"host-{type(self).__name__.lower()}-{number}"
        self.part = f"{self.host}_part"
        self.rp = provider_uuid(self.part)
        self.dice = random.Random(f"{seed} {self.host}")
        self.ends: Counter[str] = Counter()
        self._made: list[str] = []
        #: What later rounds have, too.
        self._kept: list[str] = []
        #: Made beforehand, since that is not what is tried.
        self._unused: list[str] = []
        self.report(self.card())

    # What kinds say

    @abstractmethod
    def pair(self) -> tuple[Action, Action]:
        """Make what is needed; return what is done at once."""

    @abstractmethod
    def check(self, one: End, other: End) -> None:
        """See that it has ended as it should."""

    def clean(self, *, last: bool = False) -> None:
        """Give all back that rounds have taken, and let agents answer.

        :param last: no round follows.
        """
        if last:
            self._made += self._kept
            # Its agent lives, and is heard as one that does, however long the rounds have taken.
            self.report(self.card())
        if len(self._made) >= self.together or (self._made and last):
            releasing.delete(self.env, self._made)
            self._made.clear()
        self.answer_all()

    # What they do

    def card(self, handles: int | None = None, **values: Any) -> DeviceReport:
        values = {"needs_prepare": self.needs_work, "needs_release": self.needs_work, **values}
        part = deployable(self.part, handles or self.handles, **values)
        return device(f"card-of-{self.host}", part, control_path={"bus": self.host[-8:]})

    def report(self, card: DeviceReport) -> None:
        inventory.report(self.env, self.host, Snapshot((card,)).to_wire())

    def make(self) -> str:
        if not self._unused:
            self._unused = [arq.uuid for arq in creating.create(self.env, MANY, PROJECT)]
        self._made.append(self._unused.pop())
        return self._made[-1]

    def bind(self, uuid: str, instance: str | None = None) -> None:
        values = {
            "hostname": self.host,
            "device_rp_uuid": self.rp,
            "instance_uuid": instance or new_uuid(),
        }
        binding.bind(self.env, {uuid: values}, PROJECT, True)

    def bound(self) -> tuple[str, str]:
        """Return an ARQ whose bind has ended, and its instance."""
        uuid, instance = self.make(), new_uuid()
        self.bind(uuid, instance)
        self.answer_all()
        return uuid, instance

    def arq(self, uuid: str) -> AcceleratorRequest | None:
        with self.env.database.reader() as connection:
            found = list_requests(connection, uuids=[uuid])
        return found[0] if found else None

    def require_gone(self, uuid: str) -> None:
        """See that an ARQ is not there any more, and need not be given back."""
        with self.env.database.reader() as connection:
            assert connection.execute(_SHOWN, {"wanted": uuid}).all() == []
        self._made.remove(uuid)

    def use_again(self, uuid: str) -> None:
        """Let an ARQ that has nothing be the next that is made."""
        self._made.remove(uuid)
        self._unused.append(uuid)

    def keep(self, uuid: str) -> None:
        """Let later rounds have an ARQ as it is."""
        self._made.remove(uuid)
        self._kept.append(uuid)

    def kept(self) -> str | None:
        """Return an ARQ that was kept, if there is one; it is as any other from now on."""
        if not self._kept:
            return None
        self._made.append(self._kept.pop())
        return self._made[-1]

    def answering(self, error: str | None = None) -> Action:
        """Return what answers the work that was sent last."""
        host, work = self.agents.sent[-1]
        return partial(finishing.finish, self.env, host, work.job_uuid, work.generation, error)

    def answer_all(self) -> None:
        while self.agents.sent:
            host, work = self.agents.sent.pop(0)
            finishing.finish(self.env, host, work.job_uuid, work.generation, None)

    def deleting(self, uuid: str) -> Action:
        return partial(releasing.delete, self.env, [uuid])

    def unbinding(self, uuid: str) -> Action:
        return partial(releasing.unbind, self.env, [uuid])

    def binding(self, uuid: str, instance: str | None = None) -> Action:
        return partial(self.bind, uuid, instance or new_uuid())


class BindBind(Arena):
    """An ARQ, two instances: one has it."""

    handles = 8
    together = 8

    def pair(self) -> tuple[Action, Action]:
        self.uuid = self.make()
        return self.binding(self.uuid), self.binding(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert sorted(map(str, (one.code, other.code))) == ["None", "cyborg.arq.state_conflict"]


class BindDelete(Arena):
    """It is gone, whether it was bound or not."""

    def pair(self) -> tuple[Action, Action]:
        self.uuid = self.make()
        return self.binding(self.uuid), self.deleting(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert one.code in (None, "cyborg.arq.not_found")
        assert other.well
        self.require_gone(self.uuid)


class DeleteDelete(Arena):
    """By the ARQ's uuid and by the instance's."""

    def pair(self) -> tuple[Action, Action]:
        self.uuid, instance = self.bound()
        return (
            self.deleting(self.uuid),
            partial(releasing.delete_of_instance, self.env, instance),
        )

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.well
        self.require_gone(self.uuid)


class DeleteNewOwner(Arena):
    """The only handle is given back, and somebody else wants it."""

    handles = 1

    def pair(self) -> tuple[Action, Action]:
        # Who was given it last is the next who gives it back.
        self.before = self.kept() or self.bound()[0]
        self.after = self.make()
        return self.deleting(self.before), self.binding(self.after)

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.code in (None, "cyborg.arq.no_free_handle")
        self.require_gone(self.before)
        found = self.arq(self.after)
        assert found is not None
        assert (found.state is ArqState.BOUND) is other.well
        (self.keep if other.well else self.use_again)(self.after)


class UnbindFinish(Arena):
    """The preparation ends while it is unbound."""

    needs_work = True

    def pair(self) -> tuple[Action, Action]:
        self.uuid = self.make()
        self.bind(self.uuid)
        return self.unbinding(self.uuid), self.answering()

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.well
        self.answer_all()
        found = self.arq(self.uuid)
        assert found is not None
        assert (found.state, found.instance_uuid) == (ArqState.UNBOUND, None)
        self.use_again(self.uuid)


class ReportBind(Arena):
    """A report takes away what a bind wants, or brings it: it has it, or is refused."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._counts = itertools.cycle([1, self.handles])
        self.keep(self.bound()[0])

    def pair(self) -> tuple[Action, Action]:
        self.uuid = self.make()
        return partial(self.report, self.card(next(self._counts))), self.binding(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.code in (None, "cyborg.arq.no_free_handle", "cyborg.arq.provider_not_found")
        found = self.arq(self.uuid)
        assert found is not None
        assert (found.attach_handle is not None) is other.well
        if not other.well:
            self.use_again(self.uuid)


class DisableBind(Arena):
    """After the answer nobody gets anything of the device."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        with self.env.database.reader() as connection:
            [self.device] = list_devices(connection, hostname=self.host)

    def pair(self) -> tuple[Action, Action]:
        self._set(DeviceStatus.ENABLED)
        self.uuid = self.make()
        return partial(self._set, DeviceStatus.MAINTAINING), self.binding(self.uuid)

    def _set(self, status: DeviceStatus) -> None:
        catalogue.set_device_status(self.env, self.device.uuid, status)

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.code in (None, "cyborg.arq.device_not_available")
        late = self.make()
        try:
            self.bind(late)
        except CyborgError as error:
            assert error.code == "cyborg.arq.device_not_available"
        else:
            raise AssertionError("bound on a disabled device")


class ProgramBind(Arena):
    """Another project's programming, or the bind: never both."""

    def pair(self) -> tuple[Action, Action]:
        self.uuid = self.make()
        other_project = "2" * 32
        return (
            partial(programming.program, self.env, self.rp, new_uuid(), other_project),
            self.binding(self.uuid),
        )

    def card(self, handles: int | None = None, **values: Any) -> DeviceReport:
        return super().card(handles, programmable=True, **values)

    def check(self, one: End, other: End) -> None:
        assert one.code in (None, "cyborg.deployable.in_use")
        assert other.code in (None, "cyborg.arq.device_not_available")
        assert not (one.well and other.well)


class DeleteFinish(Arena):
    """The preparation ends, well or not, while the ARQ is deleted: nothing is left."""

    needs_work = True
    error: ClassVar[str | None] = None

    def pair(self) -> tuple[Action, Action]:
        self.uuid = self.make()
        self.bind(self.uuid)
        return self.deleting(self.uuid), self.answering(self.error)

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.well
        self.require_gone(self.uuid)


class DeleteFailure(DeleteFinish):
    """The same, of one that has failed."""

    error = "it does not work"


class ReleaseDelete(Arena):
    """The release of an unbind ends while the ARQ is deleted."""

    needs_work = True

    def pair(self) -> tuple[Action, Action]:
        self.uuid, _ = self.bound()
        releasing.unbind(self.env, [self.uuid])
        return self.answering(), self.deleting(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.well
        self.answer_all()
        self.require_gone(self.uuid)


class UnbindDelete(Arena):
    """It is released once, and gone."""

    needs_work = True

    def pair(self) -> tuple[Action, Action]:
        self.uuid, _ = self.bound()
        return self.unbinding(self.uuid), self.deleting(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert one.code in (None, "cyborg.arq.not_found")
        assert other.well
        self.require_gone(self.uuid)


class UnbindUnbind(Arena):
    """It is released once."""

    needs_work = True

    def pair(self) -> tuple[Action, Action]:
        self.uuid, _ = self.bound()
        return self.unbinding(self.uuid), self.unbinding(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert one.well
        assert other.well
        assert len(self.agents.sent) == 1


class BindUnbind(Arena):
    """The same bind again, while it is unbound."""

    needs_work = True

    def pair(self) -> tuple[Action, Action]:
        self.uuid, instance = self.bound()
        return self.binding(self.uuid, instance), self.unbinding(self.uuid)

    def check(self, one: End, other: End) -> None:
        assert one.code in (None, "cyborg.arq.state_conflict")
        assert other.well


class PrepareDelete(BindDelete):
    """A bind that has to be prepared, while the ARQ is deleted."""

    needs_work = True


#: Kinds that the database's locks must keep apart.
KINDS: Sequence[type[Arena]] = (
    BindBind,
    BindDelete,
    DeleteDelete,
    DeleteNewOwner,
    UnbindFinish,
    ReportBind,
    DisableBind,
    ProgramBind,
)

#: Kinds in which an agent is at work, or is about to be.
WORKING_KINDS: Sequence[type[Arena]] = (
    DeleteFinish,
    DeleteFailure,
    ReleaseDelete,
    UnbindDelete,
    UnbindUnbind,
    BindUnbind,
    PrepareDelete,
    UnbindFinish,
)


class _Partner:
    """A thread that does one of two things, when it is told, and says how that ended."""

    def __init__(self) -> None:
        self._todo: SimpleQueue[tuple[Action, float] | None] = SimpleQueue()
        self._done: SimpleQueue[End] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def begin(self, action: Action, delay: float) -> None:
        self._todo.put((action, delay))

    def end(self) -> End:
        return self._done.get(timeout=120)

    def stop(self) -> None:
        self._todo.put(None)
        self._thread.join(60)

    def _work(self) -> None:
        while (told := self._todo.get()) is not None:
            self._done.put(_ended(*told))


def _ended(action: Action, delay: float) -> End:
    time.sleep(delay)
    try:
        action()
    except CyborgError as error:
        assert error.http_status in HARMLESS, error
        return End(error.code)
    except Exception as error:
        return End(f"{type(error).__name__}: {error}")
    return End()


def run(env: Environment, kinds: Sequence[type[Arena]], rounds: int, threads: int) -> Counter[str]:
    """Run so many rounds of each kind, by so many threads in all; return how they ended.

    :raises AssertionError: one has not ended as it should, with what it was.
    """
    pairs = threads // 2
    todo = itertools.chain.from_iterable(zip(*([kind] * rounds for kind in kinds), strict=True))
    lock = threading.Lock()
    ends: Counter[str] = Counter()
    failures: list[str] = []

    def work(number: int) -> None:
        partner = _Partner()
        arenas = {kind: kind(env, number, SEED) for kind in kinds}
        try:
            while not failures:
                with lock:
                    kind = next(todo, None)
                if kind is None:
                    break
                found = _round(arenas[kind], partner)
                with lock:
                    ends.update([f"{kind.__name__}: {found}"])
            for arena in arenas.values():
                arena.clean(last=True)
        except Exception as error:
            failures.append(f"{kind and kind.__name__}: {type(error).__name__}: {error}")
            raise
        finally:
            partner.stop()

    workers = [
        threading.Thread(target=work, args=(number,), daemon=True) for number in range(pairs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures
    return ends


def _round(arena: Arena, partner: _Partner) -> str:
    first, second = arena.pair()
    delays = [0.0, arena.dice.uniform(0, SPREAD)]
    arena.dice.shuffle(delays)
    partner.begin(second, delays[1])
    one = _ended(first, delays[0])
    other = partner.end()
    try:
        arena.check(one, other)
    except AssertionError as error:
        raise AssertionError(f"{one}, {other}: {error}") from error
    arena.clean()
    return f"{one.code or 'ok'} / {other.code or 'ok'}"
