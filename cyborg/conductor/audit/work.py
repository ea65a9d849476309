"""What is under way, or should be, and does not fit what it is about. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cyborg.conductor.audit.disagreement import About, Disagreement, Kind, Seen
from cyborg.conductor.audit.limits import LONGEST_LEASE, Limits
from cyborg.domain.facts import DeployableFact, Facts, HandleFact, JobFact, RequestFact
from cyborg.domain.model import HandleCondition, JobKind, ProgrammingState
from cyborg.domain.states import AT_WORK, RELEASING, ArqState

#: In which states an ARQ has a job of these kinds. What a newer release has begun is left alone.
_STATES = {
    JobKind.PREPARE: frozenset({ArqState.BIND_STARTED}),
    JobKind.RELEASE: RELEASING,
    JobKind.RESTORE: frozenset({ArqState.BOUND}),
}


def of_jobs(facts: Facts) -> Iterator[Disagreement]:
    """Every job has its subject, in the state that it has while that is worked on."""
    by_uuid = {handle.uuid: handle for handle in facts.handles.values()}
    for job in facts.jobs:
        subject = job.subject.partition("/")[2]
        if job.unreadable is not None:
            # One of another release's kinds may be read there.
            ours = job.kind in set(JobKind)
            words = f"cannot be read: {job.unreadable}"
            yield _about(Kind.JOB_UNREADABLE, job, words, healable=ours)
            continue
        match job.kind:
            case JobKind.PREPARE | JobKind.RELEASE | JobKind.RESTORE:
                yield from _of_request(facts, job)
            case JobKind.CLEAN:
                yield from _of_handle(job, by_uuid.get(subject))
            case JobKind.PROGRAM:
                yield from _of_deployable(job, facts.deployables.get(subject))


def of_waiting(facts: Facts) -> Iterator[Disagreement]:
    """Everything that waits for work has its job."""
    subjects = {job.subject for job in facts.jobs}
    owners = {handle.owner for handle in facts.handles.values()}
    for request in facts.requests.values():
        if request.state in AT_WORK and f"arq/{request.uuid}" not in subjects:
            # Of one without a handle that is said.
            if request.id in owners:
                yield _waiting(request)
    job_uuids = {job.uuid for job in facts.jobs}
    for part in facts.deployables.values():
        is_programmed = part.programming_state == ProgrammingState.PROGRAMMING
        if is_programmed and part.programming_job not in job_uuids:
            yield Disagreement(
                Kind.PROGRAMMING_WITHOUT_JOB,
                About.DEPLOYABLE,
                part.uuid,
                part.host,
                f"Deployable {part.name} is being programmed, and no job does it.",
                healable=True,
            )
        if part.content_unknown and part.bitstream_id is not None:
            yield Disagreement(
                Kind.CONTENT_CONTRADICTED,
                About.DEPLOYABLE,
                part.uuid,
                part.host,
                f"What deployable {part.name} holds is not known, and it is said to be image "
                f"{part.bitstream_id}: program it.",
            )


def of_time(facts: Facts, limits: Limits) -> Iterator[Disagreement]:
    """No job is left alone for long, nor kept from everybody."""
    for job in facts.jobs:
        late = max(job.due_for, job.late_for or 0.0)
        if late > limits.overdue:
            said = f": {job.last_error}" if job.last_error else ""
            yield _about(
                Kind.JOB_OVERDUE,
                job,
                f"has been due for {late:.0f} s, and no conductor takes it: is one running?{said}",
            )
        elif -job.due_for > LONGEST_LEASE:
            words = f"is kept from all conductors for {-job.due_for:.0f} s more"
            yield _about(Kind.JOB_LEASED_TOO_LONG, job, words, healable=True)


def _of_request(facts: Facts, job: JobFact) -> Iterator[Disagreement]:
    request = facts.requests.get(job.request or 0)
    if request is None:
        yield _about(
            Kind.JOB_WITHOUT_SUBJECT, job, "is about no accelerator request", healable=True
        )
        return
    handle = facts.handles.get(job.handle or 0)
    seen = Seen(request.id, request.generation)
    if request.state not in _STATES[JobKind(job.kind)]:
        words = f"is about accelerator request {request.uuid}, which is {request.state}"
        yield _about(Kind.JOB_AGAINST_STATE, job, words, healable=True, request=seen)
    elif handle is None or handle.owner != request.id:
        words = f"is about an attach handle that accelerator request {request.uuid} does not have"
        yield _about(Kind.JOB_AGAINST_STATE, job, words, healable=True, request=seen)


def _of_handle(job: JobFact, handle: HandleFact | None) -> Iterator[Disagreement]:
    if handle is None or job.handle != handle.id:
        yield _about(Kind.JOB_WITHOUT_SUBJECT, job, "is about no attach handle", healable=True)
    elif handle.owner is not None or handle.condition == HandleCondition.READY:
        whose = "belongs to somebody" if handle.owner is not None else "is clean"
        words = f"cleans attach handle {handle.uuid}, which {whose}"
        yield _about(Kind.JOB_AGAINST_STATE, job, words, healable=True)


def _of_deployable(job: JobFact, part: DeployableFact | None) -> Iterator[Disagreement]:
    if part is None:
        yield _about(Kind.JOB_WITHOUT_SUBJECT, job, "is about no deployable", healable=True)
        return
    wanted = (ProgrammingState.PROGRAMMING, job.uuid)
    if (part.programming_state, part.programming_job) != wanted:
        words = f"programs deployable {part.name}, which waits for no such job"
        yield _about(Kind.JOB_AGAINST_STATE, job, words, healable=True)


def _waiting(request: RequestFact) -> Disagreement:
    what = "releases" if request.state in RELEASING else "prepares"
    return Disagreement(
        Kind.WAITING_WITHOUT_JOB,
        About.REQUEST,
        request.uuid,
        request.hostname,
        f"Accelerator request {request.uuid} is {request.state}, "
        f"and no job {what} its attach handle.",
        healable=True,
        request=Seen(request.id, request.generation),
    )


def of_unclean(facts: Facts, limits: Limits) -> Iterator[Disagreement]:
    """What can be cleaned is, soon; beside what somebody has of a device it may have to wait."""
    handles = facts.handles.values()
    at_work = {job.handle for job in facts.jobs}
    busy = {each.device_uuid for each in handles if each.owner is not None or each.id in at_work}
    for handle in handles:
        host = facts.hosts[handle.host]
        waits = handle.unchanged_for <= limits.silence(host.interval) or host.is_asked
        if handle.can_be_cleaned and handle.device_uuid not in busy and not waits:
            yield Disagreement(
                Kind.UNCLEAN_WITHOUT_JOB,
                About.HANDLE,
                handle.uuid,
                handle.host,
                f"Attach handle {handle.uuid} ({handle.hardware}) is unclean and there, "
                "and no job cleans it.",
                healable=True,
                handle=Seen(handle.id, handle.generation),
            )


def _about(
    kind: Kind, job: JobFact, words: str, *, healable: bool = False, request: Seen | None = None
) -> Disagreement:
    return Disagreement(
        kind,
        About.JOB,
        job.uuid,
        job.host,
        f"Job {job.uuid} ({job.kind}, {job.subject}) {words}.",
        healable=healable,
        request=request,
        job=Seen(job.id, job.generation),
    )
