"""Trying what is offered: it is bound, looked at, and undone, and nobody hears of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import TypeVar

import sqlalchemy as sa

from cyborg.conductor import binding, creating
from cyborg.conductor.environment import Environment
from cyborg.db.database import Connection, Database
from cyborg.db.tables import device_profiles
from cyborg.tests.functional.conductor.hardware_model.records import Offer
from cyborg.tests.helpers import RecordingAgents, profile

T = TypeVar("T")

#: Requests of a class that are bound only to see whether what is offered can be had.
_POOL = 8

#: To whom what is offered would be given.
NOBODY = "ffffffff-0000-4000-8000-000000000000"


class _Undone(Exception):
    """Rolls a transaction back."""


class _RolledBack(Database):
    """A database on which nothing stays that is done."""

    def __init__(self, database: Database, look: Callable[[Connection], None]) -> None:
        super().__init__(database._conf)
        self._real = database
        self._look = look

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do it, look at it, and undo it."""
        results: list[T] = []

        def attempt(connection: Connection) -> None:
            results[:] = [work(connection)]
            self._look(connection)
            raise _Undone

        try:
            self._real.run(attempt)
        except _Undone:
            pass
        return results[0]


class Trials:
    """Requests that are never really bound, and what is tried with them."""

    def __init__(self, env: Environment, classes: Collection[str]) -> None:
        #: By class.
        self._pool: dict[str, list[str]] = {}
        for name in classes:
            made = creating.create(env, asking_for(env, name, _POOL), "project", True)
            self._pool[name] = [arq.uuid for arq in made]

    @property
    def requests(self) -> frozenset[str]:
        """Return the requests that are never bound."""
        return frozenset(uuid for uuids in self._pool.values() for uuid in uuids)

    def try_to_bind(
        self,
        env: Environment,
        offer: Offer,
        look: Callable[[Connection, Collection[str]], None],
    ) -> None:
        """Bind all that is offered, look at it, and undo it.

        :param look: is given the requests that are bound then, in the transaction.
        :raises CyborgError: it cannot be bound.
        """
        uuids = self._pool[offer.resource_class][: offer.units]
        assert len(uuids) == offer.units, "more is offered than is ever tried"
        values = {
            "hostname": offer.host,
            "device_rp_uuid": offer.uuid,
            "instance_uuid": NOBODY,
        }
        silent = dataclasses.replace(
            env,
            database=_RolledBack(env.database, lambda connection: look(connection, uuids)),
            agents=RecordingAgents(),
            placement=None,
        )
        binding.bind(silent, dict.fromkeys(uuids, values), "project", True)


def asking_for(env: Environment, resource_class: str, units: int = 1) -> str:
    """Make the profile that asks for so many of a class, if there is none; return its name."""
    name = resource_class if units == 1 else f"{resource_class}-{units}"
    query = sa.select(device_profiles.c.id).where(device_profiles.c.name == name)
    with env.database.reader() as connection:
        is_known = connection.scalar(query) is not None
    return name if is_known else profile(env, name, {f"resources:{resource_class}": str(units)})
