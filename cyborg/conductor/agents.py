"""Which agent is believed for a host: two machines may have been given one name."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from oslo_log import log

from cyborg.conductor.unit import Unit
from cyborg.db import due_jobs, hosts
from cyborg.domain.agents import INTERVALS, AgentIdentity, may_speak
from cyborg.domain.errors import HostTaken
from cyborg.domain.model import Withheld

LOG = log.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TakenHost:
    """A host that is held until the transaction ends."""

    id: int
    #: The database's present.
    now: datetime.datetime
    #: Why nothing of it is offered; None: it is.
    withheld: Withheld | None = None
    #: It is a machine that was booted since its agent was heard.
    is_booted_anew: bool = False
    #: Its agent was away: it has missed reports, and may have missed work.
    was_away: bool = False


def take_host(unit: Unit, name: str, agent: AgentIdentity | None) -> TakenHost:
    """Return a host, made if it is new, and held until the transaction ends.

    One statement, two for a new host. A refusal is logged at each try: an agent that is refused
    tries again at the pace of its reports, and to say it more seldom, each conductor would have
    to remember what it has said.

    :raises HostTaken: another machine's agent was heard a moment ago.
    """
    found = take_known_host(unit, name, agent)
    if found is None:
        # Nothing is recorded of it, so nothing has a time to be compared with.
        return TakenHost(hosts.insert_host(unit.connection, name, unit.now), unit.now)
    return found


def take_known_host(unit: Unit, name: str, agent: AgentIdentity | None) -> TakenHost | None:
    """Return a host, held until the transaction ends, None if it is new. One statement.

    :raises HostTaken: another machine's agent was heard a moment ago.
    """
    found = hosts.lock_host(unit.connection, name)
    if found is None:
        return None
    if may_speak(agent, found.heard, float(unit.env.conf.periodic_interval)):
        before = found.heard.boot_id
        booted = agent is not None and before is not None and agent.boot_id != before
        interval = found.heard.interval or float(unit.env.conf.periodic_interval)
        away = found.heard.silence >= INTERVALS * interval
        return TakenHost(found.id, found.now, found.withheld, booted, away)
    assert agent is not None
    LOG.error(
        "host claimed by two machines host=%s boot=%s, refused; heard %.0f s ago boot=%s: "
        "give each machine a [agent] resource_provider_name of its own and restart its agent",
        name,
        agent.boot_id,
        found.heard.silence,
        found.heard.boot_id,
    )
    raise HostTaken(
        f"Another machine's agent reports for host {name}, and was heard "
        f"{found.heard.silence:.0f} seconds ago."
    )


def hurry(unit: Unit, host: str) -> None:
    """Send again soon what a host's agent has not answered, since it is back.

    How often it was sent in vain meanwhile is forgotten.
    """
    hurried = due_jobs.hurry(unit.connection, host)
    if hurried:
        LOG.info("agent is back, its jobs are sent again host=%s jobs=%d", host, hurried)
