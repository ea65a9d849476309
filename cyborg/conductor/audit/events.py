"""What Nova is to be told, and hosts that are not heard. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cyborg.conductor.audit.disagreement import About, Disagreement, Kind, Seen
from cyborg.conductor.audit.limits import Limits
from cyborg.domain.facts import EventFact, Facts, RequestFact
from cyborg.domain.model import EventState, EventStatus, Withheld
from cyborg.domain.states import ArqState

#: What an ARQ is while Nova is told so.
_STATES = {
    EventStatus.COMPLETED: frozenset({ArqState.BOUND}),
    EventStatus.FAILED: frozenset({ArqState.BIND_FAILING, ArqState.BIND_FAILED}),
}


def of_events(facts: Facts, limits: Limits) -> Iterator[Disagreement]:
    """Each event is about an ARQ that is as it says, and Nova is told in time."""
    for event in facts.events:
        request = facts.requests.get(event.request)
        if request is None:
            words = f"about accelerator request {event.request_uuid}, which is gone"
            yield _about(Kind.EVENT_WITHOUT_REQUEST, event, None, words, healable=True)
            continue
        is_true = request.state in _STATES.get(EventStatus(event.status), ())
        if not is_true or event.instance_uuid != request.instance_uuid:
            words = (
                f"says that accelerator request {request.uuid} has {event.status} for instance "
                f"{event.instance_uuid}, and it is {request.state} for {request.instance_uuid}"
            )
            yield _about(Kind.EVENT_AGAINST_STATE, event, request, words, healable=True)
        elif event.state == EventState.WAITING:
            yield from _overdue(event, request, limits)
    told = {event.request for event in facts.events if event.late_for is not None}
    for request in facts.requests.values():
        if request.state == ArqState.BIND_FAILING and request.id not in told:
            yield _untold(request)


def of_hosts(facts: Facts, limits: Limits) -> Iterator[Disagreement]:
    """Every host is heard, and withheld for a reason only."""
    hosts_of_jobs = {job.host for job in facts.jobs}
    for host in facts.hosts.values():
        is_silent = host.silence > limits.silence(host.interval)
        words = ""
        if is_silent:
            words = f"Host {host.name} has not been heard for {host.silence:.0f} s."
            yield Disagreement(Kind.HOST_SILENT, About.HOST, host.name, host.name, words)
        elif host.withheld == Withheld.SILENT:
            words = (
                f"Host {host.name} is withheld as silent, and was heard {host.silence:.0f} s ago."
            )
        elif host.withheld == Withheld.RESTORING and host.name not in hosts_of_jobs:
            words = f"Host {host.name} is withheld while it is restored, and no job does that."
        if words and not is_silent:
            yield Disagreement(Kind.HOST_WITHHELD, About.HOST, host.name, host.name, words)
    for job in facts.jobs:
        if job.host not in facts.hosts:
            yield Disagreement(
                Kind.JOB_WITHOUT_SUBJECT,
                About.JOB,
                job.uuid,
                job.host,
                f"Job {job.uuid} ({job.kind}, {job.subject}) is for host {job.host}, "
                "which is not known.",
                job=Seen(job.id, job.generation),
            )


def _overdue(event: EventFact, request: RequestFact, limits: Limits) -> Iterator[Disagreement]:
    late = event.late_for
    if late is not None and late > limits.overdue:
        words = f"about accelerator request {request.uuid} should have ended {late:.0f} s ago"
        yield _about(Kind.EVENT_OVERDUE, event, request, words, healable=True)
    elif late is None and event.age > limits.overdue:
        words = (
            f"about accelerator request {request.uuid} was written {event.age:.0f} s ago, tried "
            f"{event.attempt} times, and Nova has not taken it"
        )
        yield _about(Kind.EVENT_OVERDUE, event, request, words, healable=True)


def _untold(request: RequestFact) -> Disagreement:
    return Disagreement(
        Kind.FAILING_WITHOUT_EVENT,
        About.REQUEST,
        request.uuid,
        request.hostname,
        f"The bind of accelerator request {request.uuid} is failing, and Nova is not told.",
        healable=True,
        request=Seen(request.id, request.generation),
    )


def _about(
    kind: Kind, event: EventFact, request: RequestFact | None, words: str, *, healable: bool
) -> Disagreement:
    return Disagreement(
        kind,
        About.EVENT,
        event.batch,
        None if request is None else request.hostname,
        f"An event {words}.",
        healable=healable,
        request=None if request is None else Seen(request.id, request.generation),
        event=Seen(event.id, event.attempt),
    )
