"""How far an agent has come with a job"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cyborg.db.types import UtcDateTime

revision = "0008"
down_revision = "0007"

_HANDLES = "ix_jobs_attach_handle_id"


def upgrade() -> None:
    """Add what the table lacks.

    MariaDB commits each statement. What was interrupted there goes on when it is run again: each
    step leaves out what is done.
    """
    inspector = sa.inspect(op.get_bind())
    there = {column["name"] for column in inspector.get_columns("jobs")}
    for column in (
        sa.Column("step", sa.String(64)),
        sa.Column("step_begun_at", UtcDateTime()),
        sa.Column("percent", sa.Integer()),
    ):
        if column.name not in there:
            op.add_column("jobs", column)
    if _HANDLES not in {index["name"] for index in inspector.get_indexes("jobs")}:
        op.create_index(_HANDLES, "jobs", ["attach_handle_id"])
