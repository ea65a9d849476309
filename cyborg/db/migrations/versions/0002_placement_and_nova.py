"""Providers in Placement, events that are sent to Nova, left-over ARQs"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from cyborg.db.types import UtcDateTime

revision = "0002"
down_revision = "0001"

_MYSQL: dict[str, Any] = {
    f"{dialect}_{key}": value
    for dialect in ("mysql", "mariadb")
    for key, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_bin"),
    )
}


def upgrade() -> None:
    """Add what the tables lack."""
    op.create_table(
        "periodic_tasks",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("begun_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_periodic_tasks"),
        **_MYSQL,
    )
    op.add_column("accelerator_requests", sa.Column("leftover_since", UtcDateTime()))
    op.create_index(
        "ix_accelerator_requests_device_rp_uuid", "accelerator_requests", ["device_rp_uuid"]
    )
    op.add_column("deployables", sa.Column("provider_generation", sa.Integer()))
    for table in ("jobs", "outbox"):
        for name in ("request_id", "global_request_id"):
            op.add_column(table, sa.Column(name, sa.String(length=64)))
    op.add_column("outbox", sa.Column("deadline", UtcDateTime()))
    op.add_column("outbox", sa.Column("batch", sa.String(length=36)))
    # Each a batch of its own: none of them will be sent.
    op.execute("UPDATE outbox SET batch = accelerator_request_uuid")
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("batch", existing_type=sa.String(length=36), nullable=False)
        outbox.create_index("ix_outbox_batch", ["batch"])
