"""What a use case leaves to be done once its transaction is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oslo_log import log

from cyborg.conductor import events, jobs, providers
from cyborg.conductor.environment import Environment
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import EventBatch, Job

LOG = log.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Afterwards:
    """Each of these is a row too: what is not done now is done later, by any conductor."""

    jobs: Sequence[Job] = ()
    events: EventBatch | None = None
    #: Whose inventories must be up to date in Placement before the caller is answered.
    providers: frozenset[str] = frozenset()


def go_on(env: Environment, afterwards: Afterwards) -> None:
    """Do it. The change itself is made: nothing here may make it look as if it were not."""
    try:
        providers.publish_now(env, afterwards.providers)
    except ServiceUnavailable as error:
        LOG.warning("providers not synchronised yet: %s", error)
    jobs.dispatch(env, afterwards.jobs)
    events.send(env, afterwards.events)
