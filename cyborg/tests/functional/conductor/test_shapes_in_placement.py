"""What Placement hears of a claim of a card that is offered in several shapes, and when."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest

from cyborg.clients.placement import Placement as Client
from cyborg.clients.placement import ProviderInventories
from cyborg.conductor import asking, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.tables import jobs
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import NoFreeHandle
from cyborg.domain.inventory import DeployableReport
from cyborg.tests.functional.conductor.harness import arq, bind, let_run_out, make, rows
from cyborg.tests.functional.conductor.racing import parts, whole
from cyborg.tests.helpers import HOST, device, placement_client, profile, report
from cyborg.tests.servers import Placement

WHOLE, PARTS = provider_uuid(whole().name), provider_uuid(parts().name)
BESIDE = dataclasses.replace(
    parts("50"),
    handles=tuple(dataclasses.replace(each, shares=()) for each in parts("50").handles),
)
BESIDE_RP = provider_uuid(BESIDE.name)

#: More ways to cut the card, each with parts of its own.
MORE = tuple(
    dataclasses.replace(
        parts(),
        name=f"{parts().name}_{number}",
        handles=tuple(
            dataclasses.replace(each, info={**each.info, "device": f"{number:02x}"})
            for each in parts().handles
        ),
    )
    for number in range(1, 6)
)


@dataclasses.dataclass
class Cloud:
    """A conductor's environment and the Placement that it publishes to."""

    env: Environment
    placement: Placement

    def publish(self, *shapes: DeployableReport) -> None:
        """Report the card in these shapes, and one beside it; let Placement hear of it."""
        report(self.env, device("card", *shapes), device("beside", BESIDE))
        self.sweep()
        self.placement.forget_requests()

    def sweep(self) -> None:
        let_run_out(self.env, jobs)
        while providers.sweep(self.env):
            pass

    def server(self, rp: str, resource_class: str) -> str:
        """Let Nova allocate for a server."""
        server = new_uuid()
        self.placement.allocate(server, {rp: {resource_class: 1}})
        return server

    def offered(self, rp: str, resource_class: str) -> int:
        found = self.placement.inventories(rp)[resource_class]
        used = self.placement.usages(rp).get(resource_class, 0)
        return int(found["total"] - found["reserved"] - used)

    def calls(self) -> list[tuple[str, str]]:
        """Return what was asked of which provider's inventories."""
        return [(call.method, call.path.split("/")[2]) for call in self.placement.requests()]


@pytest.fixture
def cloud(env: Environment, empty_placement: Placement) -> Cloud:
    """A card whole and in parts, one beside it, and Placement that knows both."""
    empty_placement.make_root(HOST)
    profile(env, "whole", {"resources:PGPU": "1"})
    profile(env, "part", {"resources:FPGA": "1"})
    client = placement_client(empty_placement.url)
    cloud = Cloud(dataclasses.replace(env, placement=client), empty_placement)
    cloud.publish(whole(), parts())
    return cloud


def seconds(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def test_a_bind_of_a_device_of_one_shape_asks_placement_nothing(cloud: Cloud) -> None:
    [uuid] = make(cloud.env, "part")
    bind(cloud.env, uuid, instance=cloud.server(BESIDE_RP, "FPGA"), rp=BESIDE_RP)
    releasing.delete(cloud.env, [uuid])
    assert (cloud.calls(), rows(cloud.env, jobs)) == ([], [])


def test_a_bind_tells_placement_of_the_other_shapes_before_its_answer(cloud: Cloud) -> None:
    [uuid] = make(cloud.env, "whole")
    bind(cloud.env, uuid, instance=cloud.server(WHOLE, "PGPU"), rp=WHOLE)
    assert cloud.offered(PARTS, "FPGA") == 0
    # Its own inventory is as it was: what it has is allocated.
    assert sorted(cloud.calls()) == [("GET", PARTS), ("GET", WHOLE), ("PUT", PARTS)]
    assert rows(cloud.env, jobs) == []


def test_what_a_part_leaves_is_offered(cloud: Cloud) -> None:
    made = [make(cloud.env, "part")[0] for _ in range(2)]
    for left, uuid in zip((3, 2), made, strict=True):
        bind(cloud.env, uuid, instance=cloud.server(PARTS, "FPGA"), rp=PARTS)
        assert cloud.offered(WHOLE, "PGPU") == 0
        assert cloud.offered(PARTS, "FPGA") == left
    for uuid in made:
        server = arq(cloud.env, uuid).instance_uuid
        assert server is not None
        releasing.delete(cloud.env, [uuid])
        cloud.placement.deallocate(server)
    cloud.sweep()
    assert (cloud.offered(WHOLE, "PGPU"), cloud.offered(PARTS, "FPGA")) == (1, 4)


class Slow(Client):
    """Answers about inventories after so many seconds."""

    pause = 0.0

    def inventories(self, uuid: str, timeout: float | None = None) -> ProviderInventories | None:
        time.sleep(self.pause)
        return super().inventories(uuid, timeout)


@pytest.mark.parametrize("trouble", ["is down", "does not answer"])
def test_an_answer_goes_out_though_placement(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Then one server may be sent in vain; the card is never given to two."""
    monkeypatch.setattr(asking, "BUDGET", 1.0)
    [first], [second], [third] = (make(cloud.env, name) for name in ("whole", "part", "part"))
    servers = [cloud.server(WHOLE, "PGPU"), cloud.server(PARTS, "FPGA")]
    beside = cloud.server(BESIDE_RP, "FPGA")
    if trouble == "is down":
        cloud.placement.kill()
    else:
        cloud.placement.pause()
    spent = seconds(lambda: bind(cloud.env, first, instance=servers[0], rp=WHOLE))
    assert arq(cloud.env, first).state == "Bound"
    with pytest.raises(NoFreeHandle):
        bind(cloud.env, second, instance=servers[1], rp=PARTS)
    assert seconds(lambda: bind(cloud.env, third, instance=beside, rp=BESIDE_RP)) < 0.5
    deleted = seconds(lambda: releasing.delete(cloud.env, [first, third]))
    assert spent < 2, f"{spent:.2f} s for a bind, {deleted:.2f} s for a delete"
    cloud.placement.start()
    cloud.placement.deallocate(servers[1])
    cloud.sweep()
    cloud.sweep()
    assert cloud.offered(PARTS, "FPGA") == 4


def test_a_card_in_many_shapes_is_answered_as_soon_as_one_in_two(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placement takes its time with each of six providers: the answer has one budget for all."""
    monkeypatch.setattr(asking, "BUDGET", 1.0)
    cloud.publish(whole(), parts(), *MORE)
    assert cloud.env.placement is not None
    slow = Slow(cloud.env.placement._service._adapter)
    slow.pause = 0.4
    env = dataclasses.replace(cloud.env, placement=slow)
    [uuid] = make(env, "whole")
    server = cloud.server(WHOLE, "PGPU")
    spent = seconds(lambda: bind(env, uuid, instance=server, rp=WHOLE))
    assert spent < 1.0 + 2 * slow.pause, f"{spent:.1f} s"
    cloud.sweep()
    for shape in (parts(), *MORE):
        assert cloud.offered(provider_uuid(shape.name), "FPGA") == 0
