"""Cards under the generic PCI driver: given, and free again only when they are clean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from arqs import Arq, fault
from cards import Cards, VirtualFunctions, WholeCards, function_of
from waiting import eventually, expect, steadily, wait_for
from watch import Watch

from flows.base import Flow
from flows.life import operations
from flows.limits import NO_HOST

if TYPE_CHECKING:
    from bench import Bench

#: Seconds that a reset takes where it is looked at.
RESET = 4

#: What Nova must be given of a function in bus 6b.
_PARTS = {"domain": "0000", "bus": "6b", "device": "0[0-2]", "function": "[0-7]"}


def address(bench: Bench) -> None:
    """Nova reads each function's address as libvirt has it: padded, in lower case."""
    with bench.need("nine boot: more than the functions of one slot, wherever they land"):
        servers = bench.booted(bench.flavor(), 9)
    with bench.check("Nova reads an address for each, of a function of its own"):
        read = [arq for server in servers for arq in bench.cloud.arqs_as_nova(server)]
        functions = {function_of(arq) for arq in read}
        expect(len(read) == len(functions) == 9, f"the ARQs are {read}")
    with bench.check("each is in four texts of their widths, and its bus is 6b"):
        for arq in read:
            info = arq["attach_handle_info"]
            fits = [bool(re.fullmatch(form, info.get(part, ""))) for part, form in _PARTS.items()]
            expect(all(fits) and len(info) == len(_PARTS), f"one is {info}")


def given_back(bench: Bench) -> None:
    """A server keeps its card until it is shelved or deleted; then a reset comes first."""
    member = bench.cloud.demo.compute
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    for operation in operations(bench, server):
        with bench.check(f"{operation.name}: the same card, and nobody resets it"):
            operation.action()
            bench.cloud.settle(server, operation.status)
            expect(bench.holds(server) == [arq], "its ARQ has changed")
            _expect_resets(bench, 0)
    bench.change(reset_seconds=RESET)
    with _reset_first(bench, arq), bench.need("shelved: the card is given back"):
        member.shelve_server(server)
        bench.cloud.settle(server, "SHELVED_OFFLOADED")
        bench.holds(server, 0)
        eventually(bench.expect_nothing_left, 20)
    with bench.need("unshelved: it has a card again"):
        member.unshelve_server(server)
        bench.cloud.settle(server, "ACTIVE")
        [arq] = bench.holds(server)
    with _reset_first(bench, arq), bench.need("deleted: the card is given back"):
        bench.delete([server])
        eventually(bench.expect_nothing_left, 20)
    with bench.check("there were two resets, one each time that a card was given back"):
        _expect_resets(bench, 2)


def slow_reset(bench: Bench) -> None:
    """While a card is reset no server gets it, though there is no other one."""
    flavor = bench.flavor()
    with bench.need("four servers have the four cards"):
        servers = bench.booted_in_turn(flavor, 4)
        arqs = {server: bench.holds(server)[0] for server in servers}
        expect(len({function_of(arq) for arq in arqs.values()}) == 4, f"they have {arqs}")
    bench.change(reset_seconds=3 * RESET)
    server, arq = next(iter(arqs.items()))
    with _reset_first(bench, arq):
        with bench.need("one is deleted: its ARQ is gone, its card is being cleaned"):
            bench.delete([server])
            arqs_left = bench.cloud.arqs(server)
            expect(not arqs_left, f"its ARQs: {arqs_left}")
            _expect_state(bench, arq, "cleaning")
            reserved = bench.placement.inventory(arq["device_rp_uuid"])["reserved"]
            expect(reserved == 1, f"{reserved} are reserved")
        with bench.check("a fifth server does not get it"):
            [late] = bench.boot(flavor)
            failed = bench.cloud.settle(late, "ERROR")
            expect(NO_HOST in fault(failed), f"it says: {fault(failed)}")
            _expect_state(bench, arq, "cleaning")
        with bench.need("it is free once it has been reset"):
            eventually(partial(_expect_state, bench, arq, "free"), 20)
            bench.wait_for_providers()
    with bench.check("a sixth server gets just this card"):
        [server] = bench.booted(flavor)
        [again] = bench.holds(server)
        expect(function_of(again) == function_of(arq), f"it has {again}")


def failing_reset(bench: Bench) -> None:
    """A card that cannot be reset: quarantined with the reason, and given to nobody."""
    bench.spoilt = True
    flavor = bench.flavor()
    with bench.need("boots"):
        [server] = bench.booted(flavor)
        [arq] = bench.holds(server)
    function = function_of(arq)
    bench.change(failing=[function])
    with Watch(partial(_free_unreset, bench, arq, 0)) as watch:
        with bench.need("it is deleted: the card is quarantined"):
            bench.delete([server])
            eventually(partial(_expect_state, bench, arq, "quarantined"), 40)
            eventually(bench.expect_nothing_left)
        with bench.check("the API gives the reason, which names the card"):
            reason = _handle(bench, arq)["state_reason"] or ""
            wanted = f"{function.address} cannot be reset"
            expect(wanted in reason, f"the reason is {reason!r}")
        bench.change()
        with bench.need("three servers have the other three, though its reset would work now"):
            servers = bench.booted_in_turn(flavor, 3)
            given = {function_of(bench.holds(server)[0]) for server in servers}
            expect(len(given) == 3 and function not in given, f"they have {given}")
        with bench.check("a fourth has none"):
            [late] = bench.boot(flavor)
            failed = bench.cloud.settle(late, "ERROR")
            expect(NO_HOST in fault(failed), f"it says: {fault(failed)}")
    with bench.check("it was free to nobody, and was not reset"):
        watch.expect_nothing_wrong()
        _expect_resets(bench, 0)


def held(bench: Bench) -> None:
    """A guest outlives its server: nothing is reset under it, and nobody else gets the card."""
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    bench.change(held=[function_of(arq)])
    with _reset_first(bench, arq):
        with bench.need("it is deleted, and the agent has seen that somebody has the function"):
            bench.delete([server])
            said = f"{function_of(arq).address} is not free"
            wait_for("the agent to say so", lambda: said in bench.service.log(arq["hostname"]))
        with bench.check("as long as that is so it is not reset, and not free"):

            def look() -> None:
                _expect_resets(bench, 0)
                _expect_state(bench, arq, "cleaning")

            steadily(look, 4)
        bench.hardware.change()
        with bench.need("the guest ends: it is reset, and free"):
            eventually(partial(_expect_state, bench, arq, "free"), 40)


def lost_agent(bench: Bench) -> None:
    """An agent is killed in the middle of a reset: the card is reset again, and then free."""
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    bench.change(reset_seconds=5 * RESET)
    host, function = arq["hostname"], function_of(arq)
    with _reset_first(bench, arq):
        with bench.need("it is deleted: the agent is killed while it resets"):
            bench.cloud.demo.compute.delete_server(server)
            wait_for("the reset", lambda: _cards(bench).resets(function, "asked"))
            bench.service.kill(host)
            bench.delete([server])
        with bench.check("as long as there is no agent it is not free"):

            def look() -> None:
                _expect_resets(bench, 0)
                _expect_state(bench, arq, "cleaning")

            steadily(look, RESET)
        bench.hardware.change()
        with bench.need("the agent comes back: it is reset, and free"):
            bench.service.launch(host)
            eventually(partial(_expect_state, bench, arq, "free"), 40)


@contextmanager
def _reset_first(bench: Bench, arq: Arq) -> Iterator[None]:
    """Check that in the block a card is free to nobody before it has been reset, once."""
    function = function_of(arq)
    before = _cards(bench).resets(function)
    with Watch(partial(_free_unreset, bench, arq, before)) as watch:
        yield
    with bench.check("the reset was in the host's log before anybody could have the card"):
        watch.expect_nothing_wrong()
        resets = _cards(bench).resets(function) - before
        expect(resets == 1, f"there were {resets} resets")


def _free_unreset(bench: Bench, arq: Arq, before: int) -> str | None:
    provider = arq["device_rp_uuid"]
    total = next(d.total for d in bench.hardware.deployables() if d.uuid == provider)
    free = []
    if _handle(bench, arq)["state"] == "free":
        free.append("the API shows it free")
    if bench.database.clean_handles(provider) == total:
        free.append("the database has it as clean")
    if bench.placement.free(provider) == total:
        free.append("Placement offers it")
    # The log last: what is free without a line there by now was free before that line.
    if free and _cards(bench).resets(function_of(arq)) == before:
        return f"not reset, and {', '.join(free)}"
    return None


def _handle(bench: Bench, arq: Arq) -> dict[str, Any]:
    """Return the attach handle that an ARQ has or had."""
    [found] = [
        handle
        for handle in bench.cloud.handles(arq["device_rp_uuid"])
        if handle["info"] == arq["attach_handle_info"]
    ]
    return found


def _expect_state(bench: Bench, arq: Arq, state: str) -> None:
    found = _handle(bench, arq)
    expect(found["state"] == state, f"the card is {found['state']}: {found['state_reason']}")


def _expect_resets(bench: Bench, count: int) -> None:
    resets = _cards(bench).all_resets()
    expect(resets == count, f"there were {resets} resets")


def _cards(bench: Bench) -> Cards:
    assert isinstance(bench.hardware, Cards)
    return bench.hardware


FLOWS = (
    Flow("vf-address", address, VirtualFunctions),
    Flow("vf-held", held, VirtualFunctions),
    Flow("vf-lost-agent", lost_agent, VirtualFunctions),
    Flow("card-life", given_back, WholeCards),
    Flow("card-slow-reset", slow_reset, WholeCards),
    Flow("card-failing-reset", failing_reset, WholeCards),
)
