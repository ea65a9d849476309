"""Races between threads on real databases: one winner, and nothing half done."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import sqlalchemy as sa

from cyborg.conductor import binding, catalogue, creating, finishing, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.devices import list_devices
from cyborg.db.tables import accelerator_requests, attach_handles, jobs
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import CyborgError, DeviceNotAvailable
from cyborg.domain.model import DeviceStatus
from cyborg.tests.functional.conductor.harness import check_audit, let_run_out, rows
from cyborg.tests.helpers import HOST, RecordingAgents, deployable, device, profile, report

NAME = f"{HOST}_FakeDevice"
PROJECT = "11111111111111111111111111111111"


def at_once(actions: Sequence[Callable[[], object]]) -> list[str]:
    """Run the actions in threads that begin together; return each one's end in their order."""
    barrier = threading.Barrier(len(actions))
    ends = [""] * len(actions)

    def run(position: int, action: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            action()
            ends[position] = "ok"
        except CyborgError as error:
            ends[position] = error.code

    threads = [
        threading.Thread(target=run, args=(position, action))
        for position, action in enumerate(actions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return ends


def make(env: Environment) -> str:
    return creating.create(env, "one", PROJECT)[0].uuid


def bind(env: Environment, uuid: str, instance: str) -> None:
    values = {
        "hostname": HOST,
        "device_rp_uuid": provider_uuid(NAME),
        "instance_uuid": instance,
    }
    binding.bind(env, {uuid: values}, PROJECT, True)


def used(env: Environment) -> int:
    with env.database.reader() as connection:
        owner = attach_handles.c.accelerator_request_id
        return connection.scalar(sa.select(sa.func.count(owner))) or 0


@pytest.fixture
def ready(env: Environment) -> Environment:
    """Sixteen handles and a profile of one FPGA."""
    report(env, device("card", deployable(NAME, 16)))
    profile(env)
    return env


def test_fifty_fight_for_one_handle(env: Environment) -> None:
    report(env, device("card", deployable(NAME, 1)))
    profile(env)
    uuids = [make(env) for _ in range(50)]
    ends = at_once([partial(bind, env, uuid, new_uuid()) for uuid in uuids])
    assert Counter(ends) == {"ok": 1, "cyborg.arq.no_free_handle": 49}
    assert used(env) == 1
    check_audit(env)


def test_two_binds_of_one_arq_to_two_instances(ready: Environment) -> None:
    for _ in range(10):
        uuid = make(ready)
        ends = at_once([partial(bind, ready, uuid, new_uuid()) for _ in "12"])
        assert sorted(ends) == ["cyborg.arq.state_conflict", "ok"]
        releasing.delete(ready, [uuid])
    assert used(ready) == 0


def test_the_same_bind_twice_at_once(ready: Environment) -> None:
    for _ in range(10):
        uuid, instance = make(ready), new_uuid()
        assert at_once([partial(bind, ready, uuid, instance)] * 2) == ["ok", "ok"]
        assert used(ready) == 1
        releasing.delete(ready, [uuid])


def test_bind_against_delete(ready: Environment) -> None:
    for _ in range(20):
        uuid = make(ready)
        ends = at_once(
            [
                partial(bind, ready, uuid, new_uuid()),
                partial(releasing.delete, ready, [uuid]),
            ]
        )
        assert ends[0] in ("ok", "cyborg.arq.not_found")
        assert ends[1] == "ok"
        check_audit(ready)
        assert used(ready) == 0


def test_delete_by_instance_and_by_uuid_at_once(ready: Environment) -> None:
    for _ in range(10):
        uuids, instance = [make(ready) for _ in range(4)], new_uuid()
        for uuid in uuids:
            bind(ready, uuid, instance)
        at_once(
            [
                partial(releasing.delete_of_instance, ready, instance),
                partial(releasing.delete, ready, uuids),
                partial(releasing.delete, ready, uuids[::-1]),
            ]
        )
        assert used(ready) == 0


@pytest.mark.parametrize("moment", ["prepared", "released"])
def test_ends_of_work_against_what_users_do(
    env: Environment, agents: RecordingAgents, moment: str
) -> None:
    """An agent's answer, an unbind and a delete meet, in twos and all three.

    Whoever waited for the lock decides on what he finds then: no ARQ is left without the job that
    ends it.
    """
    report(env, device("card", deployable(NAME, 4, needs_prepare=True)))
    profile(env)
    unbind: Callable[..., object] = releasing.unbind
    delete: Callable[..., object] = releasing.delete
    for users in ([unbind], [delete], [unbind, delete]):
        for _ in range(8):
            uuid = make(env)
            bind(env, uuid, new_uuid())
            if moment == "released":
                answer(env, agents)
                releasing.unbind(env, [uuid])
            actions = [partial(action, env, [uuid]) for action in users]
            ends = at_once([partial(answer, env, agents), *actions])
            assert set(ends) <= {"ok", "cyborg.arq.not_found"}, ends
            check_audit(env)
            while rows(env, jobs):
                let_run_out(env, jobs)
                finishing.sweep(env)
                answer(env, agents)
            releasing.delete(env, [uuid])
            while rows(env, jobs):
                answer(env, agents)
            assert used(env) == 0
            assert rows(env, accelerator_requests) == []


def answer(env: Environment, agents: RecordingAgents) -> None:
    """Answer what was sent last, as its agent does."""
    host, work = agents.sent[-1]
    finishing.finish(env, host, work.job_uuid, work.generation, None)


def test_no_bind_begins_after_the_answer_to_disable(ready: Environment) -> None:
    with ready.database.reader() as connection:
        [card] = list_devices(connection)
    for _ in range(5):
        uuids = [make(ready) for _ in range(8)]
        late = make(ready)

        def disable(late: str = late) -> None:
            catalogue.set_device_status(ready, card.uuid, DeviceStatus.MAINTAINING)
            bound = used(ready)
            with pytest.raises(DeviceNotAvailable):
                bind(ready, late, new_uuid())
            assert used(ready) == bound, "a bind went on after the device was disabled"

        binds = [partial(bind, ready, uuid, new_uuid()) for uuid in uuids]
        ends = at_once([*binds, disable])
        assert ends[-1] == "ok"
        assert set(ends) <= {"ok", "cyborg.arq.device_not_available"}
        catalogue.set_device_status(ready, card.uuid, DeviceStatus.ENABLED)
        releasing.delete(ready, [*uuids, late])
        assert used(ready) == 0


def test_reports_and_binds_at_once(ready: Environment) -> None:
    """A report that removes handles never removes one that a bind has just taken."""
    many, few = deployable(NAME, 16), deployable(NAME, 2)
    for turn in range(10):
        uuids = [make(ready) for _ in range(8)]
        binds = [partial(bind, ready, uuid, new_uuid()) for uuid in uuids]
        part = few if turn % 2 else many
        ends = at_once([*binds, partial(report, ready, device("card", part))])
        assert ends[-1] == "ok"
        assert used(ready) == ends[:-1].count("ok")
        check_audit(ready)
        releasing.delete(ready, uuids)
        report(ready, device("card", many))
