"""Whatever happens to messages, agents and journals: nobody's device is touched for another."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyborg.tests.unit.agent.helpers import PATIENCE
from cyborg.tests.unit.agent.ownership import OwnedHost, Owners

#: How many random histories of each sort, and how long they are.
HISTORIES = 12
EVENTS = 120


@pytest.fixture
def owners() -> Owners:
    return Owners()


@pytest.fixture
def host(tmp_path: Path, owners: Owners) -> Iterator[OwnedHost]:
    host = OwnedHost(tmp_path, owners)
    yield host
    host.stop()
    assert host.hardware.wrongs == []
    assert host.images.out == []


@pytest.mark.parametrize(
    "happens",
    [
        OwnedHost.restart,
        OwnedHost.reboot,
        OwnedHost.lose_journal,
        OwnedHost.corrupt_journal,
    ],
)
@pytest.mark.parametrize("late", ["the first attempt", "a newer attempt"])
def test_a_release_that_comes_when_the_handle_has_been_given_again(
    owners: Owners, host: OwnedHost, happens: Callable[[OwnedHost], None], late: str
) -> None:
    host.deliver(owners.bind("handle-1"))
    first = owners.delete(1)
    second = owners.send_again(owners.jobs[first.job_uuid])
    host.deliver(first, second)
    assert owners.free() == ["handle-1"]
    host.deliver(owners.bind("handle-1"))
    happens(host)
    host.deliver(first if late == "the first attempt" else second)
    assert host.hardware.touched == [("prepare", 1), ("release", 1), ("prepare", 2)]


def test_a_preparation_that_comes_when_the_handle_has_been_given_again(
    owners: Owners, host: OwnedHost
) -> None:
    late = owners.bind("handle-1")
    owners.time_is_over(owners.jobs[late.job_uuid])
    host.deliver(owners.delete(1))
    host.deliver(owners.bind("handle-1"))
    host.deliver(late)
    assert host.hardware.touched == [("release", 1), ("prepare", 2)]


def test_a_preparation_that_comes_after_the_release_it_was_turned_into(
    owners: Owners, host: OwnedHost
) -> None:
    late = owners.bind("handle-1")
    host.deliver(owners.delete(1))
    host.lose_journal()
    host.deliver(late)
    host.deliver(owners.bind("handle-1"))
    host.deliver(late)
    assert host.hardware.touched == [("release", 1), ("prepare", 2)]


def test_a_programming_that_comes_when_the_deployable_has_been_given(
    owners: Owners, host: OwnedHost
) -> None:
    late = owners.program("handle-1")
    owners.time_is_over(owners.jobs[late.job_uuid])
    host.deliver(owners.bind("handle-1"))
    host.deliver(late)
    assert host.hardware.touched == [("prepare", 2)]


class History:
    """Random events; every message that was ever sent may come at any time, any number of times."""

    def __init__(self, seed: int, host: OwnedHost, *, hurried: bool) -> None:
        self.random = random.Random(seed)
        self.host = host
        self.owners = host.owners
        self.turnstile = host.hardware.turnstile
        #: Calls of the driver are under way while other things happen.
        self.hurried = hurried
        if hurried:
            self.turnstile.close()
        self.events: list[tuple[Callable[[], object], int]] = [
            (self.newest_message, 12),
            (self.any_message, 12),
            (self.bind, 6),
            (self.program, 2),
            (self.delete, 5),
            (self.lease_runs_out, 5),
            (self.time_is_over, 2),
            (self.killed_at_work, 2),
            (self.some_entry_is_lost, 2),
            (self.restart, 1),
            (self.reboot, 1),
            (self.nobody_answers, 1),
            (self.answers_get_lost, 1),
            (self.turnstile.let_one_through, 12),
        ]

    def happen(self) -> None:
        events, weights = zip(*self.events, strict=True)
        self.random.choices(events, weights)[0]()

    def newest_message(self) -> None:
        if self.owners.sent:
            self.host.executor.submit(self.random.choice(self.owners.sent[-3:]))

    def any_message(self) -> None:
        if self.owners.sent:
            self.host.executor.submit(self.random.choice(self.owners.sent))

    def bind(self) -> None:
        with self.owners.lock:
            if free := self.owners.free():
                self.owners.bind(self.random.choice(free))

    def program(self) -> None:
        with self.owners.lock:
            if free := self.owners.free():
                self.owners.program(self.random.choice(free))

    def delete(self) -> None:
        with self.owners.lock:
            jobs = {job.arq: job.kind for job in self.owners.jobs.values()}
            if arqs := [
                arq for arq in self.owners.owners.values() if jobs.get(arq) in (None, "prepare")
            ]:
                self.owners.delete(self.random.choice(arqs))

    def lease_runs_out(self) -> None:
        with self.owners.lock:
            if jobs := list(self.owners.jobs.values()):
                self.owners.send_again(self.random.choice(jobs))

    def time_is_over(self) -> None:
        with self.owners.lock:
            if jobs := list(self.owners.jobs.values()):
                self.owners.time_is_over(self.random.choice(jobs))

    def restart(self) -> None:
        self.stop_agent()
        self.host.start_agent()

    def reboot(self) -> None:
        self.host.boots += 1
        self.restart()

    def killed_at_work(self) -> None:
        """Some work had been begun when the agent was killed."""
        self.stop_agent()
        if self.owners.sent:
            self.host.journal.start(self.random.choice(self.owners.sent))
        self.host.start_agent()

    def stop_agent(self) -> None:
        """What runs comes to its end, what waits is forgotten."""
        self.turnstile.open()
        self.host.stop()
        if self.hurried:
            self.turnstile.close()

    def some_entry_is_lost(self) -> None:
        for file in sorted(self.host.directory.glob("*.json")):
            if self.random.random() < 0.5:
                file.unlink(missing_ok=True)

    def nobody_answers(self) -> None:
        self.owners.away = not self.owners.away

    def answers_get_lost(self) -> None:
        self.owners.deaf = not self.owners.deaf

    def all_ends(self) -> None:
        """Send whatever is not over once more: all of it is done then, or was nobody's."""
        self.turnstile.open()
        self.owners.away = self.owners.deaf = self.owners.gives_again = False
        assert self.host.executor.wait_until_idle(PATIENCE)
        for job in list(self.owners.jobs.values()):
            self.host.deliver(self.owners.send_again(job))
        assert self.owners.jobs == {}


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize("seed", range(HISTORIES))
def test_random_histories(tmp_path: Path, seed: int, hurried: bool) -> None:
    """One event after the other; or with calls under way, and handles given as they get free."""
    owners = Owners(handles=("handle-1", "handle-2", "handle-3"), gives_again=hurried)
    host = OwnedHost(tmp_path, owners)
    history = History(seed, host, hurried=hurried)
    for _ in range(EVENTS):
        history.happen()
        assert hurried or host.executor.wait_until_idle(PATIENCE)
    history.all_ends()
    host.stop()
    assert host.hardware.wrongs == []
    assert host.hardware.touched
    assert host.images.out == []
