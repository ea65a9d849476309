"""Healing what an audit has found, by the means of the use cases, if it is still as it was seen.

Nothing becomes free here that may be dirty: what somebody had is cleaned first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from oslo_log import log

from cyborg.conductor import cleaning, events, leftovers, providers
from cyborg.conductor.audit.disagreement import Disagreement, Kind, Seen
from cyborg.conductor.environment import Environment
from cyborg.conductor.preparing import PREPARE
from cyborg.conductor.unit import Unit, run
from cyborg.db import attach_handles, freeing, hosts, jobs, outbox, programming
from cyborg.db import healing as rows
from cyborg.db.attach_handles import TakenHandle
from cyborg.db.request_changes import (
    LockedRequest,
    delete_requests,
    lock_requests_by_id,
    unbind_requests,
)
from cyborg.domain.errors import CyborgError
from cyborg.domain.model import EventStatus, ProgrammingState, ProviderJobKind
from cyborg.domain.states import BINDABLE, RELEASING, ArqState
from cyborg.domain.work import Job, Subject, Work

LOG = log.getLogger(__name__)

#: Why what an audit has ended was ended.
REASON = "An audit found that nobody was at work on it."

_NOT_HELD = "An audit found that it belonged to nobody who had it."


def heal(env: Environment, found: Iterable[Disagreement]) -> list[Disagreement]:
    """Heal what can be healed and is still as it was seen; return that.

    :raises ServiceUnavailable: the database cannot be reached.
    """
    healed = []
    # In the order of kinds: a job that is wrong goes before another one is written.
    for each in sorted(found, key=lambda each: list(Kind).index(each.kind)):
        if each.healable and _heal(env, each):
            LOG.warning("healed %s %s", each.kind, each.words)
            healed.append(each)
    kinds = {each.kind for each in healed}
    if kinds & {Kind.PROVIDER_MISSING, Kind.PROVIDER_DIFFERS, Kind.PROVIDER_ORPHANED}:
        # What is marked is any conductor's; now it is this one's.
        providers.sweep(env)
    return healed


def _heal(env: Environment, each: Disagreement) -> bool:
    if each.kind is Kind.REQUEST_WITHOUT_ALLOCATION:
        return _compare_leftovers(env)
    return run(env, partial(_HEALERS[each.kind], each))


def _compare_leftovers(env: Environment) -> bool:
    try:
        return leftovers.compare(env) > 0
    except CyborgError as error:
        LOG.warning("not healed: %s", error)
        return False


def _locked(unit: Unit, seen: Seen | None) -> LockedRequest | None:
    """Hold an ARQ; None if it has changed since it was seen."""
    assert seen is not None
    arqs = lock_requests_by_id(unit.connection, [seen.id])
    return next((arq for arq in arqs if arq.generation == seen.generation), None)


def _end_release(each: Disagreement, unit: Unit) -> bool:
    """Of an ARQ that has nothing any more nothing is left to release."""
    arq = _locked(unit, each.request)
    if arq is None or attach_handles.taken_handles(unit.connection, [arq.id]):
        return False
    for job, generation in rows.jobs_of_request(unit.connection, arq.id).items():
        rows.delete_job(unit.connection, job, generation)
    if arq.state is ArqState.DELETING:
        delete_requests(unit.connection, [arq.id])
    else:
        unbind_requests(unit.connection, [arq], unit.now)
    return True


def _clean(each: Disagreement, unit: Unit) -> bool:
    """Take a handle from who does not hold it; its agent cleans it when it reports next."""
    assert each.request is not None
    assert each.handle is not None
    owners = lock_requests_by_id(unit.connection, [each.request.id])
    if any(arq.state not in BINDABLE for arq in owners):
        return False
    found = rows.owned_handle(unit.connection, each.handle.id, each.handle.generation)
    if found is None or found.owner != each.request.id:
        return False
    freeing.free_unclean(unit.connection, each.handle.id, each.request.id, _NOT_HELD, unit.now)
    marked = dict.fromkeys(found.providers, found.host)
    providers.mark(unit, marked, ProviderJobKind.INVENTORY)
    return True


def _delete_job(each: Disagreement, unit: Unit) -> bool:
    assert each.job is not None
    if each.request is not None and _locked(unit, each.request) is None:
        return False
    return rows.delete_job(unit.connection, each.job.id, each.job.generation)


def _begin_again(each: Disagreement, unit: Unit) -> bool:
    """Let what waits for nobody be released; a bind that nobody prepares has failed."""
    arq = _locked(unit, each.request)
    if arq is None or rows.jobs_of_request(unit.connection, arq.id):
        return False
    taken = attach_handles.taken_handles(unit.connection, [arq.id])
    if not taken:
        return False
    if arq.state in RELEASING:
        cleaning.write(unit, [arq], taken)
    else:
        PREPARE.failed(unit, _lost(unit, arq, taken[0]), [arq], REASON)
    return True


def _lost(unit: Unit, arq: LockedRequest, taken: TakenHandle) -> Job:
    """Return the job that is not there, as far as its end needs it."""
    providers_of = (arq.device_rp_uuid,) if arq.device_rp_uuid else ()
    return Job(
        host=taken.host,
        key=f"arq/{arq.uuid}",
        subject=Subject((arq.id,), (taken.id,), providers=providers_of),
        work=Work(unit.env.new_uuid(), 1, PREPARE.name, taken.driver, taken.handle.device, ()),
    )


def _fail_programming(each: Disagreement, unit: Unit) -> bool:
    found = programming.lock_deployable(unit.connection, each.which)
    if found is None or found.state is not ProgrammingState.PROGRAMMING:
        return False
    job = found.job_uuid or ""
    if jobs.peek(unit.connection, job) is not None:
        return False
    if found.job_uuid is None:
        programming.record_start(unit.connection, found.id, job, unit.now)
    programming.record_failure(unit.connection, found.uuid, job, REASON, unit.now)
    marked = dict.fromkeys(found.shapes, found.host)
    providers.mark(unit, marked, ProviderJobKind.INVENTORY)
    return True


def _ask_for_report(each: Disagreement, unit: Unit) -> bool:
    """What is unclean, or counted otherwise, is put right by the host's next whole report."""
    assert each.host is not None
    device = rows.any_device(unit.connection, each.host)
    if device is not None:
        hosts.want_report_about(unit.connection, device)
    return device is not None


def _hurry_job(each: Disagreement, unit: Unit) -> bool:
    assert each.job is not None
    return rows.hurry_job(unit.connection, each.job.id, each.job.generation)


def _hurry_event(each: Disagreement, unit: Unit) -> bool:
    assert each.event is not None
    return rows.hurry_event(unit.connection, each.event.id, each.event.generation)


def _delete_event(each: Disagreement, unit: Unit) -> bool:
    assert each.event is not None
    if each.request is not None and _locked(unit, each.request) is None:
        return False
    uuid = rows.request_of_event(unit.connection, each.event.id)
    if uuid is not None:
        outbox.delete_events(unit.connection, each.which, [uuid])
    return uuid is not None


def _tell_nova(each: Disagreement, unit: Unit) -> bool:
    arq = _locked(unit, each.request)
    if arq is None or arq.state is not ArqState.BIND_FAILING or arq.instance_uuid is None:
        return False
    outbox.delete_events_of(unit.connection, [arq.id])
    events.write(unit, [arq], arq.instance_uuid, EventStatus.FAILED, repeated=True)
    return True


def _mark(each: Disagreement, unit: Unit) -> bool:
    assert each.host is not None
    providers.mark(unit, {each.which: each.host}, ProviderJobKind.PROVIDER)
    return True


_HEALERS: dict[Kind, Callable[[Disagreement, Unit], bool]] = {
    Kind.HOLDING_WITHOUT_HANDLE: _end_release,
    Kind.HANDLE_NOT_HELD: _clean,
    Kind.JOB_UNREADABLE: _delete_job,
    Kind.JOB_WITHOUT_SUBJECT: _delete_job,
    Kind.JOB_AGAINST_STATE: _delete_job,
    Kind.WAITING_WITHOUT_JOB: _begin_again,
    Kind.PROGRAMMING_WITHOUT_JOB: _fail_programming,
    Kind.UNCLEAN_WITHOUT_JOB: _ask_for_report,
    Kind.COUNTERS_DIFFER: _ask_for_report,
    Kind.JOB_LEASED_TOO_LONG: _hurry_job,
    Kind.EVENT_WITHOUT_REQUEST: _delete_event,
    Kind.EVENT_AGAINST_STATE: _delete_event,
    Kind.FAILING_WITHOUT_EVENT: _tell_nova,
    Kind.EVENT_OVERDUE: _hurry_event,
    Kind.PROVIDER_MISSING: _mark,
    Kind.PROVIDER_DIFFERS: _mark,
    Kind.PROVIDER_ORPHANED: _mark,
}
