"""When an ARQ is needed by nobody any more, as values. The table is written out, not derived."""

from __future__ import annotations

import dataclasses

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
    counting=False,
    ripe=False,
)

hosts = st.sampled_from([HOST, "elsewhere", "compute-10", None])
servers = st.builds(KnownServer, busy=st.booleans(), hostname=hosts)


@pytest.mark.parametrize(
    ("busy", "hostname", "expected"),
    [
        (False, HOST, Need.DOUBTFUL),
        (False, "elsewhere", Need.LEFT_OVER),
        (False, "compute-10", Need.LEFT_OVER),
        (False, None, Need.LEFT_OVER),
        (True, HOST, Need.NEEDED),
        (True, "elsewhere", Need.NEEDED),
        (True, None, Need.NEEDED),
    ],
)
def test_a_server_that_nova_knows(busy: bool, hostname: str | None, expected: Need) -> None:
    assert need(REQUEST, KnownServer(busy, hostname)) is expected


def test_a_server_that_nova_does_not_know() -> None:
    assert need(REQUEST, None) is Need.LEFT_OVER


@given(
    server=servers | st.none(),
    before=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_what_was_thought_before_has_no_say(
    server: KnownServer | None, before: tuple[bool, bool, bool]
) -> None:
    suspected, counting, ripe = before
    request = dataclasses.replace(REQUEST, suspected=suspected, counting=counting, ripe=ripe)
    assert need(request, server) is need(REQUEST, server)


@given(consumers=st.frozensets(st.sampled_from([INSTANCE, "arq", "provider", "other"])))
def test_an_allocation_is_the_instances(consumers: frozenset[str]) -> None:
    assert has_allocation(REQUEST, consumers) is (INSTANCE in consumers)
