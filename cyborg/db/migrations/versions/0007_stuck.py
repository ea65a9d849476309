"""What is tried in vain, and hosts of which nothing is offered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NUMBERS = (("outbox", "failures"), ("jobs", "unanswered"))
_DEADLINES = "ix_jobs_deadline"


def upgrade() -> None:
    """Add what the tables lack.

    MariaDB commits each statement. What was interrupted there goes on when it is run again: each
    step leaves out what is done.
    """
    inspector = sa.inspect(op.get_bind())
    for table, column in _NUMBERS:
        if column not in _columns(inspector, table):
            number = sa.Column(column, sa.Integer(), nullable=False, server_default="0")
            op.add_column(table, number)
    if "withheld" not in _columns(inspector, "hosts"):
        op.add_column("hosts", sa.Column("withheld", sa.String(16)))
    if _DEADLINES not in {index["name"] for index in inspector.get_indexes("jobs")}:
        op.create_index(_DEADLINES, "jobs", ["deadline"])


def _columns(inspector: sa.Inspector, table: str) -> set[str]:
    return {column["name"] for column in inspector.get_columns(table)}
