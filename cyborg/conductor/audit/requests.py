"""What of requests and handles contradicts each other. Pure."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from cyborg.conductor.audit.disagreement import About, Disagreement, Kind, Seen
from cyborg.domain.facts import Facts, HandleFact, RequestFact
from cyborg.domain.hardware import Sharing, sharing_of
from cyborg.domain.model import (
    DeviceCondition,
    DeviceStatus,
    HandleCondition,
    Presence,
    ProgrammingState,
    Withheld,
)
from cyborg.domain.states import BINDABLE, RELEASING, ArqState


def of_requests(facts: Facts) -> Iterator[Disagreement]:
    """Each ARQ that should has one handle, where it says; no other has any."""
    owned: dict[int, list[HandleFact]] = defaultdict(list)
    for handle in facts.handles.values():
        if handle.owner is not None:
            owned[handle.owner].append(handle)
    for id_ in owned.keys() - facts.requests.keys():
        for handle in owned[id_]:
            yield _not_held(handle, "an accelerator request that is gone")
    for request in facts.requests.values():
        yield from _of_request(request, owned.get(request.id, []))


def _of_request(request: RequestFact, handles: list[HandleFact]) -> Iterator[Disagreement]:
    if not _is_known(ArqState, request.state):
        yield _unknown(About.REQUEST, request.uuid, request.hostname, "state", request.state)
    elif request.state in BINDABLE:
        for handle in handles:
            whose = f"accelerator request {request.uuid}, which is {request.state}"
            yield _not_held(handle, whose, Seen(request.id, request.generation))
    elif not handles:
        yield _without_handle(request)
    else:
        for handle in handles:
            yield from _elsewhere(request, handle)


def _without_handle(request: RequestFact) -> Disagreement:
    releasing = request.state in RELEASING
    end = "nothing is left to release" if releasing else "unbind or delete it"
    return Disagreement(
        Kind.HOLDING_WITHOUT_HANDLE,
        About.REQUEST,
        request.uuid,
        request.hostname,
        f"Accelerator request {request.uuid} is {request.state} and has no attach handle: {end}.",
        healable=releasing,
        request=Seen(request.id, request.generation),
    )


def _not_held(handle: HandleFact, whose: str, request: Seen | None = None) -> Disagreement:
    return Disagreement(
        Kind.HANDLE_NOT_HELD,
        About.HANDLE,
        handle.uuid,
        handle.host,
        f"Attach handle {handle.uuid} ({handle.hardware}) belongs to {whose}.",
        healable=True,
        request=request or Seen(handle.owner or 0, 0),
        handle=Seen(handle.id, handle.generation),
    )


def _elsewhere(request: RequestFact, handle: HandleFact) -> Iterator[Disagreement]:
    is_at = (handle.device_host, handle.rp_uuid)
    says = (request.hostname, request.device_rp_uuid)
    if is_at != says:
        yield Disagreement(
            Kind.HANDLE_ELSEWHERE,
            About.REQUEST,
            request.uuid,
            request.hostname,
            f"Accelerator request {request.uuid} says host {says[0]}, provider {says[1]}; "
            f"its attach handle {handle.uuid} is at host {is_at[0]}, provider {is_at[1]}.",
        )


def of_values(facts: Facts) -> Iterator[Disagreement]:
    """What is stored is in the tables of this release."""
    for handle in facts.handles.values():
        if not _is_known(HandleCondition, handle.condition):
            yield _unknown(About.HANDLE, handle.uuid, handle.host, "condition", handle.condition)
    for device in facts.devices:
        for names, name in (
            (DeviceStatus, "status"),
            (Presence, "presence"),
            (DeviceCondition, "condition"),
        ):
            value = getattr(device, name)
            if not _is_known(names, value):
                yield _unknown(About.DEVICE, device.uuid, device.host, name, value)
    for part in facts.deployables.values():
        if not _is_known(ProgrammingState, part.programming_state):
            state = part.programming_state
            yield _unknown(About.DEPLOYABLE, part.uuid, part.host, "programming_state", state)
    for host in facts.hosts.values():
        if host.withheld is not None and not _is_known(Withheld, host.withheld):
            yield _unknown(About.HOST, host.name, host.name, "withheld", host.withheld)


def _unknown(about: About, which: str, host: str | None, name: str, value: object) -> Disagreement:
    words = f"{about.capitalize()} {which} has the {name} {value!r}, which there is not."
    return Disagreement(Kind.UNKNOWN_VALUE, about, which, host, words)


def _is_known(names: type[enum.StrEnum], value: str) -> bool:
    return value in set(names)


def of_hardware(facts: Facts) -> Iterator[Disagreement]:
    """No piece of hardware is given to two, in whatever shape; what is counted is what there is."""
    by_host: dict[str, list[HandleFact]] = defaultdict(list)
    for handle in facts.handles.values():
        by_host[handle.host].append(handle)
        if handle.host != handle.device_host:
            yield Disagreement(
                Kind.HANDLE_ELSEWHERE,
                About.HANDLE,
                handle.uuid,
                handle.host,
                f"Attach handle {handle.uuid} is of host {handle.host}, "
                f"and its device of host {handle.device_host}.",
            )
    counted = _counted(facts)
    for host in facts.hosts:
        yield from _given_twice(host, by_host[host])
        # A host that is asked for its report is about to be counted anew.
        if not facts.hosts[host].is_asked:
            yield from _differ(host, sharing_of(by_host[host]), counted.get(host, Sharing()))


def _given_twice(host: str, handles: list[HandleFact]) -> Iterator[Disagreement]:
    sums: dict[str, Fraction] = defaultdict(Fraction)
    owned: dict[str, list[str]] = defaultdict(list)
    for handle in handles:
        if handle.owner is not None:
            for share in handle.shares:
                sums[share.counter] += share.fraction
                owned[share.counter].append(handle.uuid)
    for counter, total in sums.items():
        if total > 1:
            yield Disagreement(
                Kind.GIVEN_TWICE,
                About.COUNTER,
                counter,
                host,
                f"More of {counter} on host {host} is given out than there is: "
                f"attach handles {', '.join(owned[counter])}.",
            )


def _counted(facts: Facts) -> dict[str, Sharing]:
    capacities: dict[str, dict[str, int]] = defaultdict(dict)
    amounts: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for counter in facts.counters:
        capacities[counter.host][counter.name] = counter.capacity
        for key, amount in counter.amounts.items():
            amounts[counter.host][key][counter.name] = amount
    return {host: Sharing(capacities[host], dict(amounts[host])) for host in capacities}


def _differ(host: str, wanted: Sharing, found: Sharing) -> Iterator[Disagreement]:
    if wanted == found:
        return
    names = {
        name
        for name in {*wanted.capacities, *found.capacities}
        if wanted.capacities.get(name) != found.capacities.get(name)
        or any(
            wanted.amounts.get(key, {}).get(name) != found.amounts.get(key, {}).get(name)
            for key in {*wanted.amounts, *found.amounts}
        )
    }
    for name in sorted(names):
        yield Disagreement(
            Kind.COUNTERS_DIFFER,
            About.COUNTER,
            name,
            host,
            f"What is counted of {name} on host {host} is not what its attach handles share.",
            healable=True,
        )
