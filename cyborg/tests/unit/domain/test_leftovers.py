"""When an ARQ is needed by nobody any more, as values. The table is written out, not derived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.leftovers import HeldRequest, KnownServer, Need, has_allocation, need

HOST = "compute-1"
INSTANCE = "instance"
REQUEST = HeldRequest(
    uuid="arq",
    instance_uuid=INSTANCE,
    provider_uuid="provider",
    hostname=HOST,
    bound_by_service=True,
    generation=1,
    suspected=False,
    ripe=False,
)

#: What Nova has, by the server's state: on the ARQ's host without a task.
ON_ITS_HOST = {
    "active": Need.DOUBTFUL,
    "paused": Need.DOUBTFUL,
    "suspended": Need.DOUBTFUL,
    "stopped": Need.DOUBTFUL,
    "rescued": Need.DOUBTFUL,
    "resized": Need.DOUBTFUL,
    "shelved": Need.DOUBTFUL,
    "soft-delete": Need.DOUBTFUL,
    "building": Need.LEFT_OVER,
    "error": Need.LEFT_OVER,
    "deleted": Need.LEFT_OVER,
    "shelved_offloaded": Need.LEFT_OVER,
}

states = st.sampled_from(sorted(ON_ITS_HOST)) | st.text(max_size=20)
hosts = st.sampled_from([HOST, "elsewhere", None])
servers = st.builds(KnownServer, busy=st.booleans(), vm_state=states, hostname=hosts)


@pytest.mark.parametrize(("vm_state", "expected"), ON_ITS_HOST.items())
def test_a_server_on_the_arqs_host(vm_state: str, expected: Need) -> None:
    assert need(REQUEST, KnownServer(False, vm_state, HOST)) is expected


@pytest.mark.parametrize("vm_state", ON_ITS_HOST)
@pytest.mark.parametrize("hostname", ["elsewhere", "compute-10", None])
def test_a_server_elsewhere(vm_state: str, hostname: str | None) -> None:
    assert need(REQUEST, KnownServer(False, vm_state, hostname)) is Need.LEFT_OVER


@given(vm_state=states, hostname=hosts)
def test_whatever_nova_works_on_is_needed(vm_state: str, hostname: str | None) -> None:
    assert need(REQUEST, KnownServer(True, vm_state, hostname)) is Need.NEEDED


def test_a_server_that_nova_does_not_know() -> None:
    assert need(REQUEST, None) is Need.LEFT_OVER


@given(server=servers | st.none(), suspected=st.booleans(), ripe=st.booleans())
def test_what_was_thought_before_has_no_say(
    server: KnownServer | None, suspected: bool, ripe: bool
) -> None:
    before = HeldRequest(
        REQUEST.uuid,
        REQUEST.instance_uuid,
        REQUEST.provider_uuid,
        REQUEST.hostname,
        REQUEST.bound_by_service,
        REQUEST.generation,
        suspected,
        ripe,
    )
    assert need(before, server) is need(REQUEST, server)


@given(consumers=st.frozensets(st.sampled_from([INSTANCE, "arq", "provider", "other"])))
def test_an_allocation_is_the_instances(consumers: frozenset[str]) -> None:
    assert has_allocation(REQUEST, consumers) is (INSTANCE in consumers)
