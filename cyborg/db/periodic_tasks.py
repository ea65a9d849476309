"""Who does what is done now and then: one conductor for all.

A row tells when a task was begun, not when it is due: so an interval that is made shorter
counts at once, and not after the old one.
"""

from __future__ import annotations

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.tables import periodic_tasks
from cyborg.db.types import database_now


def claim(connection: sa.Connection, name: str, interval: float) -> bool:
    """Take a task if nobody has begun it for ``interval`` seconds; return whether it is ours.

    :raises Contention: somebody else has just taken it for the first time.
    """
    of_name = periodic_tasks.c.name == name
    is_due = periodic_tasks.c.begun_at <= database_now(-interval)
    due = connection.scalar(sa.select(is_due).where(of_name))
    if due is None:
        try:
            connection.execute(periodic_tasks.insert().values(name=name, begun_at=database_now()))
        except db_exception.DBDuplicateEntry as error:
            raise Contention from error
        return True
    if not due:
        return False
    result = connection.execute(
        periodic_tasks.update().where(of_name, is_due).values(begun_at=database_now())
    )
    return result.rowcount == 1


def try_again(connection: sa.Connection, name: str, interval: float, seconds: float) -> None:
    """Let anybody take a task of this interval in so many seconds."""
    connection.execute(
        periodic_tasks.update()
        .where(periodic_tasks.c.name == name)
        .values(begun_at=database_now(seconds - interval))
    )
