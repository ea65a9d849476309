"""Telling Nova how binds have ended.

An event is written with the change that it tells of, and sent after the commit. What could not
be sent is sent again, by any conductor, for as long as the ARQ is there.

Nova takes an ARQ that it finds BindFailed for resolved, and boots the server without its
device. So a bind of Nova's that fails after it was answered is ``BIND_FAILING``, which reads
BindStarted, and Nova is told of the failure again and again, whatever it answers: 422 means
that the server has no host yet, and even an event that was taken may have come before the
compute host waited for it. That ends when Nova deletes the ARQ; or when its patience is over
and nothing goes on with the server any more.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from oslo_log import log

from cyborg.clients.http import NoAnswer
from cyborg.clients.nova import Nova
from cyborg.conductor.asking import Budget
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Order, Unit, run
from cyborg.db import outbox
from cyborg.db.request_changes import LockedRequest, fail_requests, lock_requests_by_id
from cyborg.domain.backoff import backoff
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import EventBatch, EventState, EventStatus
from cyborg.domain.states import ArqState
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: How many events, or ends of patience, one look takes at most.
BATCH = 64

#: Most seconds between two attempts at an event, and where Nova has not answered in time: it
#: is as slow with the next one, which waits for a thread meanwhile.
MOST_DELAY, MOST_DELAY_IF_SLOW = 10.0, 60.0

#: Seconds that the first attempt waits for Nova. Those after it have the time that is configured.
FIRST_TIMEOUT = 10.0

#: Nova's answer to an event that it does not understand.
REFUSED = 400


@dataclass(frozen=True, slots=True)
class TellNova:
    """Send a batch of events, in the background."""

    batch: EventBatch
    order: ClassVar[Order] = Order.NOVA

    def do(self, env: Environment, _budget: Budget) -> None:
        """Send it; what cannot be sent now is due again when its lease has run out."""
        _begin_to_send(env, self.batch)


def write(
    unit: Unit,
    arqs: Collection[LockedRequest],
    instance_uuid: str,
    status: EventStatus,
    *,
    repeated: bool = False,
) -> None:
    """Write events about ARQs of an instance; they are sent after the commit.

    :param repeated: tell them again and again, until Nova's patience is over.
    """
    env = unit.env
    batch = outbox.insert_events(
        unit.connection,
        {arq.id: arq.uuid for arq in arqs},
        batch=env.new_uuid(),
        instance_uuid=instance_uuid,
        status=status,
        state=EventState.NOT_SENT if env.nova is None else EventState.WAITING,
        now=unit.now,
        lease=env.conf.conductor.job_lease,
        patience=env.conf.conductor.bind_failure_patience if repeated else None,
    )
    unit.after(TellNova(batch))


def _begin_to_send(env: Environment, batch: EventBatch) -> None:
    if env.nova is not None:
        tell = env.senders.again if batch.failures else env.senders.first
        tell(batch.uuid, partial(_send, env, env.nova, batch))


def sweep(env: Environment) -> int:
    """Send what is due, and end what Nova was told for long enough; return how much was.

    Of what has failed before just so much is taken as is sent at once.
    """
    if env.nova is None:
        return 0
    due = _claim(env, failed=False, limit=BATCH)
    if room := min(BATCH, env.senders.room()):
        due += _claim(env, failed=True, limit=room)
    for batch in due:
        _begin_to_send(env, batch)
    with env.database.reader() as connection:
        over = outbox.past_deadline(connection, BATCH)
    ends = [
        env.senders.again(
            f"patience/{instance_uuid}",
            partial(_end_of_patience, env, env.nova, instance_uuid, arq_ids),
        )
        for instance_uuid, arq_ids in over.items()
    ]
    return len(due) + sum(ends)


def _claim(env: Environment, *, failed: bool, limit: int) -> list[EventBatch]:
    lease = env.conf.conductor.job_lease
    return run(
        env,
        lambda unit: outbox.claim_due(unit.connection, failed=failed, lease=lease, limit=limit),
    )


def _send(env: Environment, nova: Nova, batch: EventBatch) -> None:
    with working_for(batch.request_id, batch.global_request_id):
        most = MOST_DELAY
        try:
            codes = nova.send_events(
                batch.instance_uuid,
                batch.status,
                batch.request_uuids,
                None if batch.failures else _first_timeout(env),
            )
        except ServiceUnavailable as error:
            if isinstance(error, NoAnswer):
                most = MOST_DELAY_IF_SLOW
            LOG.warning(
                "event not sent instance=%s arqs=%s attempt=%d: %s",
                batch.instance_uuid,
                ",".join(batch.request_uuids),
                batch.attempt,
                error,
            )
            codes = {}
        _note(env, batch, codes, most)


def _first_timeout(env: Environment) -> float:
    configured: float | None = env.conf.nova.timeout
    return FIRST_TIMEOUT if configured is None else min(FIRST_TIMEOUT, configured)


def _note(env: Environment, batch: EventBatch, codes: dict[str, int], most: float) -> None:
    told = [uuid for uuid in batch.request_uuids if _is_told(batch, codes.get(uuid))]
    again = [uuid for uuid in batch.request_uuids if uuid not in told]
    for uuid in batch.request_uuids:
        if uuid in codes:
            level = logging.ERROR if codes[uuid] == REFUSED else logging.INFO
            LOG.log(
                level,
                "event sent arq=%s instance=%s status=%s code=%d attempt=%d",
                uuid,
                batch.instance_uuid,
                batch.status,
                codes[uuid],
                batch.attempt,
            )

    def work(unit: Unit) -> None:
        if told:
            outbox.delete_events(unit.connection, batch.uuid, told)
        if again:
            outbox.postpone(unit.connection, batch.uuid, again, backoff(batch.failures + 1, most))

    run(env, work)


def _is_told(batch: EventBatch, code: int | None) -> bool:
    """Return whether this is the last of an event.

    Of a success, any answer is: to a server that has no host yet, Nova will ask itself. What is
    repeated ends with Nova's patience only: its row is what brings that end.
    """
    return code is not None and not batch.repeated


def _end_of_patience(
    env: Environment, nova: Nova, instance_uuid: str, arq_ids: Sequence[int]
) -> None:
    try:
        server = nova.server(instance_uuid)
        busy = server is not None and server.task_state is not None
    except ServiceUnavailable as error:
        LOG.warning("server not looked at instance=%s: %s", instance_uuid, error)
        busy = True
    if busy:
        # Nova may still be about to look at the ARQ, and must not see BindFailed then.
        seconds = env.conf.conductor.bind_failure_patience / 5
        run(env, lambda unit: outbox.prolong(unit.connection, instance_uuid, seconds))
        return
    for arq_id in arq_ids:
        arq = run(env, partial(_give_up, arq_id))
        if arq is not None:
            LOG.info("bind failed for good arq=%s instance=%s", arq.uuid, instance_uuid)


def _give_up(arq_id: int, unit: Unit) -> LockedRequest | None:
    """Let an ARQ read BindFailed, unless it has moved on; return it if it does now."""
    locked = lock_requests_by_id(unit.connection, [arq_id])
    # While Nova was asked, the ARQ may have been bound anew, or another conductor may have
    # seen that the server is busy.
    over = outbox.delete_past_deadline(unit.connection, arq_id)
    failing = [arq for arq in locked if arq.state is ArqState.BIND_FAILING]
    if not over or not failing:
        return None
    [arq] = failing
    fail_requests(unit.connection, failing, ArqState.BIND_FAILED, arq.state_reason, unit.now)
    return arq
