"""Initial schema"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from cyborg.db.types import UtcDateTime

revision = "0001"
down_revision = None

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
    """Make every table."""
    op.create_table(
        "device_profiles",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("groups_json", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_device_profiles"),
        sa.UniqueConstraint("name", name="uq_device_profiles_name"),
        sa.UniqueConstraint("uuid", name="uq_device_profiles_uuid"),
        **_MYSQL,
    )
    op.create_table(
        "hosts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("resource_provider_uuid", sa.String(length=36), nullable=True),
        sa.Column("report_digest", sa.String(length=64), nullable=True),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_hosts"),
        sa.UniqueConstraint("name", name="uq_hosts_name"),
        **_MYSQL,
    )
    op.create_table(
        "instance_owners",
        sa.Column("instance_uuid", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("instance_uuid", name="pk_instance_owners"),
        **_MYSQL,
    )
    op.create_index("ix_instance_owners_created_at", "instance_owners", ["created_at"])

    op.create_table(
        "accelerator_requests",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("device_profile_id", sa.Integer(), nullable=False),
        sa.Column("device_profile_group_id", sa.Integer(), nullable=False),
        sa.Column("group_json", sa.Text(), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("hostname", sa.String(length=255), nullable=True),
        sa.Column("device_rp_uuid", sa.String(length=36), nullable=True),
        sa.Column("instance_uuid", sa.String(length=36), nullable=True),
        sa.Column("bound_by_service", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("bound_at", UtcDateTime(), nullable=True),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_profile_id"],
            ["device_profiles.id"],
            name="fk_accelerator_requests_device_profile_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_accelerator_requests"),
        sa.UniqueConstraint("uuid", name="uq_accelerator_requests_uuid"),
        **_MYSQL,
    )
    op.create_index(
        "ix_accelerator_requests_device_profile_id", "accelerator_requests", ["device_profile_id"]
    )
    op.create_index(
        "ix_accelerator_requests_instance_uuid", "accelerator_requests", ["instance_uuid"]
    )
    op.create_index("ix_accelerator_requests_project_id", "accelerator_requests", ["project_id"])
    op.create_index(
        "ix_accelerator_requests_state_created_at", "accelerator_requests", ["state", "created_at"]
    )

    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.Integer(), nullable=False),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("driver", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("vendor", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("std_board_info", sa.Text(), nullable=False),
        sa.Column("vendor_board_info", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("presence", sa.String(length=16), nullable=False),
        sa.Column("absences", sa.Integer(), server_default="0", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_devices_host_id"),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("host_id", "identity", name="uq_devices_host_id_identity"),
        sa.UniqueConstraint("uuid", name="uq_devices_uuid"),
        **_MYSQL,
    )
    op.create_table(
        "control_paths",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_control_paths_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_control_paths"),
        sa.UniqueConstraint("device_id", name="uq_control_paths_device_id"),
        sa.UniqueConstraint("uuid", name="uq_control_paths_uuid"),
        **_MYSQL,
    )
    op.create_table(
        "deployables",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("resource_class", sa.String(length=255), nullable=False),
        sa.Column("num_accelerators", sa.Integer(), nullable=False),
        sa.Column("rp_uuid", sa.String(length=36), nullable=False),
        sa.Column("driver_name", sa.String(length=255), nullable=False),
        sa.Column("bitstream_id", sa.String(length=36), nullable=True),
        sa.Column("needs_prepare", sa.Boolean(), nullable=False),
        sa.Column("needs_release", sa.Boolean(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_deployables_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deployables"),
        sa.UniqueConstraint("name", name="uq_deployables_name"),
        sa.UniqueConstraint("rp_uuid", name="uq_deployables_rp_uuid"),
        sa.UniqueConstraint("uuid", name="uq_deployables_uuid"),
        **_MYSQL,
    )
    op.create_index("ix_deployables_device_id", "deployables", ["device_id"])
    op.create_index("ix_deployables_resource_class", "deployables", ["resource_class"])

    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("accelerator_request_id", sa.Integer(), nullable=False),
        sa.Column("accelerator_request_uuid", sa.String(length=36), nullable=False),
        sa.Column("instance_uuid", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["accelerator_request_id"],
            ["accelerator_requests.id"],
            name="fk_outbox_accelerator_request_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        **_MYSQL,
    )
    op.create_index("ix_outbox_accelerator_request_id", "outbox", ["accelerator_request_id"])
    op.create_index("ix_outbox_state_leased_until", "outbox", ["state", "leased_until"])

    op.create_table(
        "attach_handles",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("deployable_id", sa.Integer(), nullable=False),
        sa.Column("attach_type", sa.String(length=16), nullable=False),
        sa.Column("attach_info", sa.String(length=512), nullable=False),
        sa.Column("condition", sa.String(length=16), nullable=False),
        sa.Column("condition_reason", sa.Text(), nullable=True),
        sa.Column("needs_release", sa.Boolean(), nullable=False),
        sa.Column("accelerator_request_id", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["accelerator_request_id"],
            ["accelerator_requests.id"],
            name="fk_attach_handles_accelerator_request_id",
        ),
        sa.ForeignKeyConstraint(
            ["deployable_id"], ["deployables.id"], name="fk_attach_handles_deployable_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attach_handles"),
        sa.UniqueConstraint(
            "accelerator_request_id", name="uq_attach_handles_accelerator_request_id"
        ),
        sa.UniqueConstraint(
            "deployable_id",
            "attach_type",
            "attach_info",
            name="uq_attach_handles_deployable_id_attach_type_attach_info",
        ),
        sa.UniqueConstraint("uuid", name="uq_attach_handles_uuid"),
        **_MYSQL,
    )
    op.create_index(
        "ix_attach_handles_free",
        "attach_handles",
        ["deployable_id", "condition", "accelerator_request_id"],
    )

    op.create_table(
        "attributes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("deployable_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("reported", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployable_id"],
            ["deployables.id"],
            name="fk_attributes_deployable_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attributes"),
        sa.UniqueConstraint("deployable_id", "key", name="uq_attributes_deployable_id_key"),
        sa.UniqueConstraint("uuid", name="uq_attributes_uuid"),
        **_MYSQL,
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("accelerator_request_id", sa.Integer(), nullable=True),
        sa.Column("attach_handle_id", sa.Integer(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.Column("deadline", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["accelerator_request_id"],
            ["accelerator_requests.id"],
            name="fk_jobs_accelerator_request_id",
        ),
        sa.ForeignKeyConstraint(
            ["attach_handle_id"], ["attach_handles.id"], name="fk_jobs_attach_handle_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("accelerator_request_id", name="uq_jobs_accelerator_request_id"),
        sa.UniqueConstraint("subject", name="uq_jobs_subject"),
        sa.UniqueConstraint("uuid", name="uq_jobs_uuid"),
        **_MYSQL,
    )
    op.create_index("ix_jobs_leased_until", "jobs", ["leased_until"])
