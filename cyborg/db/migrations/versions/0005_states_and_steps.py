"""All states of ARQs in their column; work of agents in steps"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_arqs = sa.table(
    "accelerator_requests",
    sa.column("id", sa.Integer),
    sa.column("state", sa.String(16)),
    sa.column("state_reason", sa.Text),
    sa.column("device_rp_uuid", sa.String(36)),
    sa.column("suspicion", sa.String(16)),
    sa.column("leftover_since", sa.DateTime),
)
_jobs = sa.table(
    "jobs",
    sa.column("id", sa.Integer),
    sa.column("uuid", sa.String(36)),
    sa.column("kind", sa.String(16)),
    sa.column("generation", sa.Integer),
    sa.column("accelerator_request_id", sa.Integer),
    sa.column("attach_handle_id", sa.Integer),
    sa.column("payload", sa.Text),
)

#: What is being unbound, by what it reads as.
_UNBINDING = {
    "BindStarted": "BindCancelling",
    "Bound": "Unbinding",
    "BindFailed": "BindClearing",
    "UnbindFailed": "UnbindRetrying",
}

_NOW = {
    "postgresql": "(clock_timestamp() AT TIME ZONE 'UTC')",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
}


def upgrade() -> None:
    """Name what ARQs were going through, and give the jobs under way their new form."""
    op.add_column(
        "accelerator_requests",
        sa.Column("suspicion", sa.String(length=16), nullable=False, server_default="none"),
    )
    _name_suspicions()
    _name_states()
    _rewrite_jobs()


def _name_suspicions() -> None:
    now = sa.text(_NOW.get(op.get_bind().dialect.name, "UTC_TIMESTAMP(6)"))
    suspected = _arqs.update().where(_arqs.c.leftover_since.is_not(None))
    op.execute(suspected.values(suspicion="grace"))
    # A date a hundred years ahead stood for a grace period that does not begin.
    doubtful = suspected.where(_arqs.c.leftover_since > now)
    op.execute(doubtful.values(suspicion="doubtful", leftover_since=None))


def _name_states() -> None:
    released = (
        sa.select(_jobs.c.id)
        .where(_jobs.c.accelerator_request_id == _arqs.c.id, _jobs.c.kind == "release")
        .exists()
    )
    for state, unbinding in _UNBINDING.items():
        op.execute(_arqs.update().where(_arqs.c.state == state, released).values(state=unbinding))
    # What is left of those that read BindStarted and say why they failed.
    op.execute(
        _arqs.update()
        .where(_arqs.c.state == "BindStarted", _arqs.c.state_reason.is_not(None))
        .values(state="BindFailing")
    )


def _rewrite_jobs() -> None:
    connection = op.get_bind()
    query = (
        sa.select(_jobs, _arqs.c.device_rp_uuid)
        .select_from(_jobs.outerjoin(_arqs, _arqs.c.id == _jobs.c.accelerator_request_id))
        .where(_jobs.c.kind.in_(["prepare", "release", "program"]))
    )
    for row in connection.execute(query).all():
        payload = json.dumps(_payload(row, json.loads(row.payload)))
        connection.execute(_jobs.update().where(_jobs.c.id == row.id).values(payload=payload))


def _payload(row: sa.Row[Any], old: dict[str, Any]) -> dict[str, Any]:
    provider = old["rp_uuid"] if row.kind == "program" else row.device_rp_uuid
    return {
        "work": {
            "job_uuid": row.uuid,
            "generation": row.generation,
            "kind": row.kind,
            "driver": old["driver"],
            "device": old["device"],
            "steps": [_step(row.kind, old)],
        },
        "subject": {
            "requests": _present(row.accelerator_request_id),
            "handles": _present(row.attach_handle_id),
            "deployable_uuid": old.get("deployable_uuid"),
            "providers": _present(provider),
        },
    }


def _step(kind: str, old: dict[str, Any]) -> dict[str, Any]:
    if kind == "program":
        return {
            "step": kind,
            "region": {name: old[name] for name in ("device", "deployable", "control_path")},
            "image_uuid": old["image_uuid"],
            "project_id": old["project_id"],
        }
    handle = {
        "uuid": old["handle_uuid"],
        "device": old["device"],
        "deployable": old["deployable"],
        "type": old["handle_type"],
        "info": old["handle_info"],
    }
    if kind == "release":
        return {"step": kind, "handle": handle}
    return {"step": kind, "handle": handle, "group": old["group"]}


def _present(value: object) -> list[object]:
    return [] if value is None else [value]
