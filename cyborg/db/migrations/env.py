"""Alembic's environment: runs on the connection that ``cyborg.db.schema`` hands in."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError

from cyborg.db.tables import metadata

connection = context.config.attributes["connection"]


def _check_foreign_keys(*_: Any, **__: Any) -> None:
    """Refuse to commit a step after which rows refer to nothing.

    SQLite does not look itself meanwhile: see ``cyborg.db.schema.upgrade``.
    """
    if connection.dialect.name == "sqlite":
        dangling = connection.execute(sa.text("PRAGMA foreign_key_check")).all()
        if dangling:
            raise CommandError(f"Rows refer to nothing: {dangling[:10]}")


context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite alters a table by making a new one.
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=True,
    on_version_apply=_check_foreign_keys,
)
with context.begin_transaction():
    context.run_migrations()
