"""The schema. What a table means is in the contributor's guide, "Data".

Constraints carry the invariants: a handle row has one owner column, and that column is
unique, so neither a handle with two ARQs nor an ARQ with two handles can be written. No
foreign key from a handle to its ARQ cascades: an ARQ cannot go while it holds a device.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from cyborg.db.types import LongText, UtcDateTime

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Names are compared exactly, as PostgreSQL and SQLite do by themselves.
MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

_STATE = sa.String(16)
_NAME = sa.String(255)
_UUID = sa.String(36)


#: An upsert may burn an id, so 32 bits would be used up in years. SQLite's are 64 bits wide.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _ID, primary_key=True, autoincrement=True)


def _uuid() -> Column[str]:
    return Column("uuid", _UUID, nullable=False, unique=True)


def _times() -> tuple[Column[Any], Column[Any]]:
    return (
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime),
    )


def _absence() -> tuple[Column[Any], Column[Any]]:
    return (
        # How many reports, some time apart, did not have it, and when the last of these came.
        Column("absences", sa.Integer, nullable=False, server_default="0"),
        Column("absent_at", UtcDateTime),
    )


def _generation() -> Column[int]:
    return Column("generation", sa.Integer, nullable=False, server_default="1")


def _request_ids() -> tuple[Column[Any], Column[Any]]:
    # Of the request that began it, so that its log lines carry the id wherever it goes on.
    return (
        Column("request_id", sa.String(64)),
        Column("global_request_id", sa.String(64)),
    )


hosts = Table(
    "hosts",
    metadata,
    _id(),
    # The compute node's resource provider, and the name under which RPC finds the agent.
    Column("name", _NAME, nullable=False, unique=True),
    Column("resource_provider_uuid", _UUID),
    # Of the last report that was applied and left nothing to settle.
    Column("report_digest", sa.String(64)),
    Column("last_seen_at", UtcDateTime, nullable=False),
    # Of the boot of the machine whose agent was heard last.
    Column("boot_id", _UUID),
    # Seconds between the reports of that agent.
    Column("report_interval", sa.Float),
    # Why nothing of it is offered; NULL: it is. See cyborg.domain.model.Withheld.
    Column("withheld", _STATE),
    _generation(),
    *_times(),
    **MYSQL,
)

devices = Table(
    "devices",
    metadata,
    _id(),
    _uuid(),
    Column("host_id", _ID, ForeignKey("hosts.id"), nullable=False),
    Column("identity", _NAME, nullable=False),
    Column("driver", _NAME, nullable=False),
    Column("type", _STATE, nullable=False),
    Column("vendor", _NAME, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("std_board_info", sa.Text, nullable=False),
    Column("vendor_board_info", sa.Text, nullable=False),
    Column("status", _STATE, nullable=False),
    Column("presence", _STATE, nullable=False),
    *_absence(),
    Column("condition", _STATE, nullable=False, server_default="unmonitored"),
    Column("condition_reason", sa.Text),
    # What has to be remembered of it while other hardware is where it was, as JSON: see
    # cyborg.domain.memory.
    Column("memory", LongText),
    _generation(),
    *_times(),
    UniqueConstraint("host_id", "identity"),
    **MYSQL,
)

control_paths = Table(
    "control_paths",
    metadata,
    _id(),
    _uuid(),
    Column(
        "device_id",
        _ID,
        ForeignKey("devices.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("info", sa.Text, nullable=False),
    **MYSQL,
)

deployables = Table(
    "deployables",
    metadata,
    _id(),
    _uuid(),
    Column("device_id", _ID, ForeignKey("devices.id"), nullable=False, index=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("resource_class", _NAME, nullable=False, index=True),
    Column("num_accelerators", sa.Integer, nullable=False),
    # Equal to the uuid where the provider is of our making.
    Column("rp_uuid", _UUID, nullable=False, unique=True),
    Column("driver_name", _NAME, nullable=False),
    Column("bitstream_id", _UUID),
    Column(
        "programmable",
        sa.Boolean(create_constraint=False),
        nullable=False,
        server_default=sa.false(),
    ),
    Column("programming_state", _STATE, nullable=False, server_default="none"),
    Column("programming_reason", sa.Text),
    # The newest programming: who waits for its end knows which one has ended.
    Column("programming_job", _UUID),
    # Set before the device is touched, cleared by success alone. A region that was half
    # written, or may have been, is not given to anybody.
    Column(
        "content_unknown",
        sa.Boolean(create_constraint=False),
        nullable=False,
        server_default=sa.false(),
    ),
    Column("needs_prepare", sa.Boolean(create_constraint=False), nullable=False),
    Column("needs_release", sa.Boolean(create_constraint=False), nullable=False),
    # Placement's, when the provider was last found to be as it should.
    Column("provider_generation", sa.Integer),
    # Where more is offered than there is, as JSON: ids of the counters that a claim has to
    # lock, and the providers that a claim concerns beside its own.
    Column("sharing", LongText),
    *_absence(),
    _generation(),
    *_times(),
    **MYSQL,
)

attributes = Table(
    "attributes",
    metadata,
    _id(),
    _uuid(),
    Column(
        "deployable_id",
        _ID,
        ForeignKey("deployables.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("key", _NAME, nullable=False),
    Column("value", _NAME, nullable=False),
    # A report replaces only what a driver said; an operator's attributes stay.
    Column("reported", sa.Boolean(create_constraint=False), nullable=False),
    *_times(),
    UniqueConstraint("deployable_id", "key"),
    **MYSQL,
)

device_profiles = Table(
    "device_profiles",
    metadata,
    _id(),
    _uuid(),
    Column("name", _NAME, nullable=False, unique=True),
    Column("description", sa.Text),
    Column("groups_json", sa.Text, nullable=False),
    _generation(),
    *_times(),
    **MYSQL,
)

accelerator_requests = Table(
    "accelerator_requests",
    metadata,
    _id(),
    _uuid(),
    Column("state", _STATE, nullable=False),
    Column(
        "device_profile_id",
        _ID,
        ForeignKey("device_profiles.id"),
        nullable=False,
        index=True,
    ),
    Column("device_profile_group_id", sa.Integer, nullable=False),
    Column("group_json", sa.Text, nullable=False),
    Column("project_id", sa.String(64), index=True),
    Column("hostname", _NAME),
    Column("device_rp_uuid", _UUID, index=True),
    Column("instance_uuid", _UUID, index=True),
    Column(
        "bound_by_service",
        sa.Boolean(create_constraint=False),
        nullable=False,
        server_default=sa.false(),
    ),
    Column(
        "created_by_service",
        sa.Boolean(create_constraint=False),
        nullable=False,
        server_default=sa.false(),
    ),
    Column("bound_at", UtcDateTime),
    # In plain words, why a bind or a release failed.
    Column("state_reason", sa.Text),
    # Whether anybody needs it.
    Column("suspicion", _STATE, nullable=False, server_default="none"),
    # When its grace period began (the database's clock).
    Column("leftover_since", UtcDateTime),
    _generation(),
    *_times(),
    Index("ix_accelerator_requests_state_created_at", "state", "created_at"),
    **MYSQL,
)

attach_handles = Table(
    "attach_handles",
    metadata,
    _id(),
    _uuid(),
    Column("deployable_id", _ID, ForeignKey("deployables.id"), nullable=False),
    Column("host_id", _ID, ForeignKey("hosts.id"), nullable=False),
    # Which hardware it is: what is there once is one row, whatever it is called.
    Column("hardware", _NAME, nullable=False),
    Column("attach_type", _STATE, nullable=False),
    Column("attach_info", sa.Text, nullable=False),
    # The shares that it occupies, as JSON.
    Column("shares", sa.Text, nullable=False),
    Column("condition", _STATE, nullable=False),
    Column("condition_reason", sa.Text),
    # Set when it was taken: what was made ready must be released, whatever the
    # deployable's report says by then.
    Column("needs_release", sa.Boolean(create_constraint=False), nullable=False),
    # The owner. Unique: the one constraint that everything else rests on.
    Column(
        "accelerator_request_id",
        _ID,
        ForeignKey("accelerator_requests.id"),
        unique=True,
    ),
    *_absence(),
    _generation(),
    *_times(),
    UniqueConstraint("host_id", "hardware"),
    Index(
        "ix_attach_handles_free",
        "deployable_id",
        "condition",
        "accelerator_request_id",
    ),
    Index("ix_attach_handles_host_id_condition", "host_id", "condition"),
    **MYSQL,
)

# Only where more is offered than there is: what cannot be exceeded needs no counting.
counters = Table(
    "counters",
    metadata,
    _id(),
    Column("host_id", _ID, ForeignKey("hosts.id"), nullable=False),
    Column("name", _NAME, nullable=False),
    Column("capacity", sa.BigInteger, nullable=False),
    UniqueConstraint("host_id", "name"),
    **MYSQL,
)

# What a handle takes of a counter, from when it is taken until it is clean.
consumptions = Table(
    "consumptions",
    metadata,
    Column(
        "attach_handle_id",
        _ID,
        ForeignKey("attach_handles.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column(
        "counter_id",
        _ID,
        ForeignKey("counters.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
    Column("amount", sa.BigInteger, nullable=False),
    **MYSQL,
)

# Kept after the ARQs go: Nova deletes them before it evacuates or unshelves with an
# admin's token, and the new ones must still belong to the server's owner.
instance_owners = Table(
    "instance_owners",
    metadata,
    Column("instance_uuid", _UUID, primary_key=True),
    Column("project_id", sa.String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    **MYSQL,
)

jobs = Table(
    "jobs",
    metadata,
    _id(),
    _uuid(),
    Column("kind", _STATE, nullable=False),
    # At most one live job about the same thing: "arq/<uuid>", "deployable/<uuid>",
    # "inventory/<provider>".
    Column("subject", sa.String(300), nullable=False, unique=True),
    Column("host", _NAME, nullable=False),
    Column(
        "accelerator_request_id",
        _ID,
        ForeignKey("accelerator_requests.id"),
        unique=True,
    ),
    Column("attach_handle_id", _ID, ForeignKey("attach_handles.id"), index=True),
    Column("payload", sa.Text, nullable=False),
    Column("attempt", sa.Integer, nullable=False, server_default="0"),
    Column("failures", sa.Integer, nullable=False, server_default="0"),
    # Attempts in a row of which the agent has said nothing, or that it could not begin; -1 after
    # any other answer, so that the attempt which follows is not counted as one more.
    Column("unanswered", sa.Integer, nullable=False, server_default="0"),
    # Nobody else touches the job before this time (the database's clock).
    Column("leased_until", UtcDateTime, nullable=False, index=True),
    Column("deadline", UtcDateTime, index=True),
    Column("last_error", sa.Text),
    # What its agent is at, as it has said last; nothing as soon as an attempt is over.
    Column("step", sa.String(64)),
    Column("step_begun_at", UtcDateTime),
    Column("percent", sa.Integer),
    *_request_ids(),
    _generation(),
    *_times(),
    **MYSQL,
)

# Work that one conductor does for all, now and then.
periodic_tasks = Table(
    "periodic_tasks",
    metadata,
    Column("name", sa.String(64), primary_key=True),
    Column("begun_at", UtcDateTime, nullable=False),
    **MYSQL,
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    # Events of one instance that were written together are sent together.
    Column("batch", _UUID, nullable=False, index=True),
    Column(
        "accelerator_request_id",
        _ID,
        # What is gone needs no event.
        ForeignKey("accelerator_requests.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("accelerator_request_uuid", _UUID, nullable=False),
    Column("instance_uuid", _UUID, nullable=False),
    Column("status", _STATE, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("attempt", sa.Integer, nullable=False, server_default="0"),
    # Attempts that have failed, or after which it is to be told again.
    Column("failures", sa.Integer, nullable=False, server_default="0"),
    Column("leased_until", UtcDateTime, nullable=False),
    # Of a failure only: until then Nova is told again and again.
    Column("deadline", UtcDateTime),
    *_request_ids(),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_outbox_state_leased_until", "state", "leased_until"),
    **MYSQL,
)
