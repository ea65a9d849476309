"""Who does what is done now and then: one conductor for all, by a lease."""

from __future__ import annotations

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.tables import periodic_tasks
from cyborg.db.types import database_now


def claim(connection: sa.Connection, name: str, lease: float) -> bool:
    """Take a task if nobody has it, for ``lease`` seconds; return whether it is ours.

    :raises Contention: somebody else has just taken it for the first time.
    """
    of_name = periodic_tasks.c.name == name
    due = connection.scalar(
        sa.select(periodic_tasks.c.leased_until <= database_now()).where(of_name)
    )
    if due is None:
        try:
            connection.execute(
                periodic_tasks.insert().values(name=name, leased_until=database_now(lease))
            )
        except db_exception.DBDuplicateEntry as error:
            raise Contention from error
        return True
    if not due:
        return False
    result = connection.execute(
        periodic_tasks.update()
        .where(of_name, periodic_tasks.c.leased_until <= database_now())
        .values(leased_until=database_now(lease))
    )
    return result.rowcount == 1


def let_go(connection: sa.Connection, name: str, seconds: float) -> None:
    """Let anybody take a task in so many seconds."""
    connection.execute(
        periodic_tasks.update()
        .where(periodic_tasks.c.name == name)
        .values(leased_until=database_now(seconds))
    )
