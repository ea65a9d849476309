"""What else is owned of a host's hardware, as joint drivers are told."""

from __future__ import annotations

import dataclasses

import pytest

from cyborg.conductor import releasing
from cyborg.conductor.endpoint import AGENT_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.domain.clock import new_uuid
from cyborg.domain.work import OwnedHandle, Release, Work
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import from_wire, open_answer
from cyborg.tests.functional.conductor.harness import bind, card, make
from cyborg.tests.helpers import HOST, RecordingAgents, profile, report


@pytest.fixture
def instances(env: Environment) -> list[str]:
    """Two instances: the first has two handles, of which one is released, the second has one."""
    report(env, card(5, needs_release=True))
    profile(env)
    first, second = new_uuid(), new_uuid()
    uuids = [uuid for _ in range(3) for uuid in make(env)]
    for uuid, instance in zip(uuids, (first, first, second), strict=True):
        bind(env, uuid, instance=instance)
    releasing.delete(env, uuids[:1])
    return [first, first, second]


@pytest.fixture
def sent(agents: RecordingAgents, instances: list[str]) -> Work:
    [(_, work)] = agents.sent
    return work


def company(env: Environment, work: Work, host: str = HOST) -> list[OwnedHandle]:
    """Ask as an agent does."""
    answer = TableEndpoint(AGENT_USE_CASES, env).company(
        {}, host=host, uuid=work.job_uuid, generation=work.generation
    )
    return from_wire(list[OwnedHandle], open_answer(answer))


def test_all_that_is_owned(env: Environment, sent: Work, instances: list[str]) -> None:
    found = company(env, sent)
    assert [each.instance_uuid for each in found] == instances
    assert [each.work for each in found] == [sent, None, None]
    assert len({each.handle.uuid for each in found}) == 3
    assert sent.steps == (Release(found[0].handle),)


def test_nothing_is_told_of_what_is_over(env: Environment, sent: Work) -> None:
    assert company(env, sent, host="another") == []
    assert company(env, dataclasses.replace(sent, generation=2)) == []
    assert company(env, dataclasses.replace(sent, job_uuid=new_uuid())) == []
