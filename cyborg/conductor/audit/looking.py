"""Looking at everything, twice: what is in motion is no disagreement.

The database is read at one moment, so what it contradicts itself in is there. Placement and Nova
are read later, and what goes on meanwhile looks like a disagreement once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cyborg.conductor.audit import placement, servers
from cyborg.conductor.audit.database import disagreements_of
from cyborg.conductor.audit.disagreement import Disagreement
from cyborg.conductor.audit.limits import limits_of
from cyborg.conductor.environment import Environment
from cyborg.db.audit import hold_still, read_facts
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.facts import Facts


class Part(enum.StrEnum):
    """Who is asked."""

    DATABASE = "database"
    PLACEMENT = "placement"
    NOVA = "nova"


LOOKED_AT = "looked at"
NOT_CONFIGURED = "not configured"
NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, and of whom."""

    disagreements: tuple[Disagreement, ...]
    #: ``LOOKED_AT``, ``NOT_CONFIGURED``, or ``NOT_LOOKED_AT``, with the reason.
    parts: Mapping[Part, str]

    @property
    def is_whole(self) -> bool:
        """Return whether all that is configured has answered."""
        return not any(said.startswith(NOT_LOOKED_AT) for said in self.parts.values())


def disagreements(env: Environment) -> Look:
    """Look once.

    :raises ServiceUnavailable: the database cannot be read.
    """
    limits = limits_of(env.conf)
    with env.database.reader() as connection:
        hold_still(connection)
        facts = read_facts(connection)
    found = disagreements_of(facts, limits)
    known = servers.Servers(env.nova)
    hosts, of_placement = _placement(env, facts, found)
    if hosts is not None:
        found += servers.of_allocations(facts, hosts, known, limits)
    found += _nova(facts, known, hosts)
    if env.nova is None:
        of_nova = NOT_CONFIGURED
    else:
        of_nova = LOOKED_AT if known.error is None else f"{NOT_LOOKED_AT}: {known.error}"
    parts = {Part.DATABASE: LOOKED_AT, Part.PLACEMENT: of_placement, Part.NOVA: of_nova}
    return Look(tuple(sorted(found, key=_order)), parts)


def twice(env: Environment, pause: Callable[[], None]) -> Look:
    """Look, wait, and look again; return what was there both times, unchanged.

    :param pause: waits; not called if the first look has found nothing.
    :raises ServiceUnavailable: the database cannot be read.
    """
    first = disagreements(env)
    if not first.disagreements:
        return first
    pause()
    second = disagreements(env)
    before = {each.identity for each in first.disagreements}
    stays = tuple(each for each in second.disagreements if each.identity in before)
    parts = {
        part: first.parts[part] if first.parts[part].startswith(NOT_LOOKED_AT) else said
        for part, said in second.parts.items()
    }
    return Look(stays, parts)


def _order(each: Disagreement) -> tuple[int, str, str]:
    kinds = list(type(each.kind))
    return (kinds.index(each.kind), each.host or "", each.which)


def _placement(
    env: Environment, facts: Facts, found: list[Disagreement]
) -> tuple[list[placement.FoundHost] | None, str]:
    """Add what Placement differs in; return what it has, None if it cannot be asked."""
    if env.placement is None:
        return None, NOT_CONFIGURED
    hosts = []
    try:
        for host in placement.read_hosts(env, env.placement, facts):
            found += placement.of_host(env, env.placement, host, facts)
            hosts.append(host)
    except ServiceUnavailable as error:
        return None, f"{NOT_LOOKED_AT}: {error}"
    return hosts, LOOKED_AT


def _nova(
    facts: Facts, known: servers.Servers, hosts: list[placement.FoundHost] | None
) -> list[Disagreement]:
    if known.nova is None:
        return []
    consumers = None
    if hosts is not None:
        consumers = {uuid: each.consumers for h in hosts for uuid, each in h.providers.items()}
    return list(servers.of_servers(facts, known, consumers))
