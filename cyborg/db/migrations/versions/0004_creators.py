"""Who made an ARQ"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what the table lacks. Whoever bound an ARQ of before, made it."""
    op.add_column(
        "accelerator_requests",
        sa.Column("created_by_service", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute("UPDATE accelerator_requests SET created_by_service = bound_by_service")
