"""Programming of deployables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what deployables lack."""
    for name in ("programmable", "content_unknown"):
        op.add_column(
            "deployables",
            sa.Column(
                name,
                sa.Boolean(create_constraint=False),
                nullable=False,
                server_default=sa.false(),
            ),
        )
    op.add_column(
        "deployables",
        sa.Column("programming_state", sa.String(length=16), nullable=False, server_default="none"),
    )
    op.add_column("deployables", sa.Column("programming_reason", sa.Text()))
    op.add_column("deployables", sa.Column("programming_job", sa.String(length=36)))
