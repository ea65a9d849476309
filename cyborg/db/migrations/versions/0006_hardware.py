"""Which hardware handles are, what they occupy, and how devices are"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from cyborg.db.migrations.handles_of_0006 import fill_handles
from cyborg.db.types import LongText, UtcDateTime

revision = "0006"
down_revision = "0005"

_MYSQL: dict[str, Any] = {
    f"{dialect}_{key}": value
    for dialect in ("mysql", "mariadb")
    for key, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_bin"),
    )
}
_CASCADE = " ON DELETE CASCADE"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

#: Foreign keys by table: column, table that it refers to, whether it may be NULL and what
#: happens when that row goes. They and the ids become 64 bits wide. Who is referred to is first.
_REFERENCES: dict[str, tuple[tuple[str, str, bool, str], ...]] = {
    "hosts": (),
    "device_profiles": (),
    "devices": (("host_id", "hosts", False, ""),),
    "control_paths": (("device_id", "devices", False, _CASCADE),),
    "deployables": (("device_id", "devices", False, ""),),
    "attributes": (("deployable_id", "deployables", False, _CASCADE),),
    "accelerator_requests": (("device_profile_id", "device_profiles", False, ""),),
    "attach_handles": (
        ("host_id", "hosts", False, ""),
        ("deployable_id", "deployables", False, ""),
        ("accelerator_request_id", "accelerator_requests", True, ""),
    ),
    "jobs": (
        ("accelerator_request_id", "accelerator_requests", True, ""),
        ("attach_handle_id", "attach_handles", True, ""),
    ),
    "outbox": (("accelerator_request_id", "accelerator_requests", False, _CASCADE),),
}

_OLD_UNIQUE = "uq_attach_handles_deployable_id_attach_type_attach_info"
_NEW_UNIQUE = "uq_attach_handles_host_id_hardware"
_NEW_INDEX = "ix_attach_handles_host_id_condition"


def upgrade() -> None:
    """Say which hardware each handle is, and let no two be the same; widen all ids.

    MariaDB commits each statement. What was interrupted there goes on when it is run again: each
    step leaves out what is done.
    """
    dialect = op.get_bind().dialect.name
    if dialect in ("mysql", "mariadb"):
        _drop_foreign_keys()
    _add_columns()
    fill_handles(op.get_bind())
    if dialect == "sqlite":
        _rebuild_handles()
    elif dialect == "postgresql":
        _alter_postgresql()
    else:
        _alter_mysql()
    _create_counters()


def _drop_foreign_keys() -> None:
    """Let MariaDB widen one end of a foreign key before the other."""
    inspector = sa.inspect(op.get_bind())
    for table in _REFERENCES:
        for key in inspector.get_foreign_keys(table):
            op.drop_constraint(str(key["name"]), table, type_="foreignkey")


def _add_columns() -> None:
    def absences() -> sa.Column[Any]:
        return sa.Column("absences", sa.Integer(), server_default="0", nullable=False)

    def absent_at() -> sa.Column[Any]:
        return sa.Column("absent_at", UtcDateTime())

    state = sa.String(length=16)
    columns: dict[str, list[sa.Column[Any]]] = {
        "hosts": [
            sa.Column("boot_id", sa.String(length=36)),
            sa.Column("report_interval", sa.Float()),
        ],
        "devices": [
            absent_at(),
            sa.Column("condition", state, server_default="unmonitored", nullable=False),
            sa.Column("condition_reason", sa.Text()),
            sa.Column("memory", LongText),
        ],
        "deployables": [sa.Column("sharing", LongText), absences(), absent_at()],
        "attach_handles": [
            # Not NULL when they are filled.
            sa.Column("host_id", _ID),
            sa.Column("hardware", sa.String(length=255)),
            sa.Column("shares", sa.Text()),
            absences(),
            absent_at(),
        ],
    }
    inspector = sa.inspect(op.get_bind())
    for table, new in columns.items():
        present = {column["name"] for column in inspector.get_columns(table)}
        for column in new:
            if column.name not in present:
                op.add_column(table, column)


def _rebuild_handles() -> None:
    """Make SQLite's table anew. Its ids are as wide as they have to be."""
    with op.batch_alter_table("attach_handles") as handles:
        for name, type_ in (
            ("host_id", _ID),
            ("hardware", sa.String(length=255)),
            ("shares", sa.Text()),
        ):
            handles.alter_column(name, existing_type=type_, nullable=False)
        handles.alter_column("attach_info", existing_type=sa.String(length=512), type_=sa.Text())
        handles.drop_constraint(_OLD_UNIQUE, type_="unique")
        handles.create_unique_constraint(_NEW_UNIQUE, ["host_id", "hardware"])
        handles.create_foreign_key("fk_attach_handles_host_id", "hosts", ["host_id"], ["id"])
        handles.create_index(_NEW_INDEX, ["host_id", "condition"])


def _alter_postgresql() -> None:
    """Alter each table in one statement, so that it is copied once."""
    connection = op.get_bind()
    for table, references in _REFERENCES.items():
        names = ["id", *(name for name, *_ in references)]
        clauses = [f"ALTER COLUMN {name} TYPE bigint" for name in names]
        if table == "attach_handles":
            clauses += [
                *(
                    f"ALTER COLUMN {name} SET NOT NULL"
                    for name in ("host_id", "hardware", "shares")
                ),
                "ALTER COLUMN attach_info TYPE text",
                f"DROP CONSTRAINT {_OLD_UNIQUE}",
                f"ADD CONSTRAINT {_NEW_UNIQUE} UNIQUE (host_id, hardware)",
                _foreign_key(table, "host_id", "hosts", ""),
            ]
        op.execute(f"ALTER TABLE {table} {', '.join(clauses)}")
        sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table, "id")))
        op.execute(f"ALTER SEQUENCE {sequence} AS bigint")
    op.create_index(_NEW_INDEX, "attach_handles", ["host_id", "condition"])


def _alter_mysql() -> None:
    """Alter each table in one statement, so that it is copied once, and wholly or not at all."""
    inspector = sa.inspect(op.get_bind())
    for table, references in _REFERENCES.items():
        clauses = ["MODIFY id bigint NOT NULL AUTO_INCREMENT"]
        for name, target, nullable, when_gone in references:
            clauses += [
                f"MODIFY {name} bigint {'NULL' if nullable else 'NOT NULL'}",
                _foreign_key(table, name, target, when_gone),
            ]
        if _OLD_UNIQUE in {unique["name"] for unique in inspector.get_unique_constraints(table)}:
            clauses += [
                "MODIFY hardware varchar(255) NOT NULL",
                "MODIFY shares text NOT NULL",
                "MODIFY attach_info text NOT NULL",
                f"DROP INDEX {_OLD_UNIQUE}",
                f"ADD CONSTRAINT {_NEW_UNIQUE} UNIQUE (host_id, hardware)",
                f"ADD INDEX {_NEW_INDEX} (host_id, `condition`)",
            ]
        op.execute(f"ALTER TABLE {table} {', '.join(clauses)}")


def _foreign_key(table: str, column: str, target: str, when_gone: str) -> str:
    name = f"fk_{table}_{column}"
    return f"ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {target} (id){when_gone}"


def _create_counters() -> None:
    op.create_table(
        "counters",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("capacity", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_counters_host_id"),
        sa.PrimaryKeyConstraint("id", name="pk_counters"),
        sa.UniqueConstraint("host_id", "name", name="uq_counters_host_id_name"),
        if_not_exists=True,
        **_MYSQL,
    )
    op.create_table(
        "consumptions",
        sa.Column("attach_handle_id", _ID, autoincrement=False, nullable=False),
        sa.Column("counter_id", _ID, autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attach_handle_id"],
            ["attach_handles.id"],
            name="fk_consumptions_attach_handle_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["counter_id"],
            ["counters.id"],
            name="fk_consumptions_counter_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attach_handle_id", "counter_id", name="pk_consumptions"),
        if_not_exists=True,
        **_MYSQL,
    )
    indexes = sa.inspect(op.get_bind()).get_indexes("consumptions")
    if "ix_consumptions_counter_id" not in {index["name"] for index in indexes}:
        op.create_index("ix_consumptions_counter_id", "consumptions", ["counter_id"])
