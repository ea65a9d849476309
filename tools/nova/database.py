"""The service's database, read behind its back: what the API does not show."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pymysql
from pymysql.cursors import DictCursor


class Database:
    """A database on a MariaDB server; each question has a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._name = parts.path.lstrip("/")
        self._server: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port or 3306,
            "user": parts.username,
            "password": parts.password or "",
        }

    def recreate(self) -> None:
        """Drop it with all that is in it, and make it again, empty."""
        self._do(f"DROP DATABASE IF EXISTS `{self._name}`", database=None)
        self._do(f"CREATE DATABASE `{self._name}` CHARACTER SET utf8mb4", database=None)

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        return self._do(statement, *values, database=self._name)

    def number(self, statement: str, *values: Any) -> int:
        """Return the one number that a query gives."""
        [row] = self.rows(statement, *values)
        [value] = row.values()
        return int(value)

    # -- handles

    def owned_handles(self) -> int:
        """Return how many attach handles an ARQ has, or had and which are not clean yet."""
        return self.number(
            "SELECT COUNT(*) FROM attach_handles WHERE accelerator_request_id IS NOT NULL"
        )

    def handles_of(self, instance: str) -> int:
        """Return how many attach handles the ARQs of an instance have."""
        return self.number(
            "SELECT COUNT(*) FROM attach_handles h JOIN accelerator_requests a"
            " ON a.id = h.accelerator_request_id WHERE a.instance_uuid = %s",
            instance,
        )

    def clean_handles(self, provider: str) -> int:
        """Return how many handles of a provider could be given to somebody now."""
        return self.number(
            "SELECT COUNT(*) FROM attach_handles h JOIN deployables d ON d.id = h.deployable_id"
            " WHERE d.rp_uuid = %s AND h.accelerator_request_id IS NULL"
            " AND h.`condition` = 'ready'",
            provider,
        )

    def quarantined(self) -> list[dict[str, Any]]:
        """Return provider and info of the handles whose cleaning failed."""
        return self.rows(
            "SELECT d.rp_uuid AS provider, h.attach_info AS info FROM attach_handles h"
            " JOIN deployables d ON d.id = h.deployable_id WHERE h.`condition` = 'quarantined'"
        )

    # -- everything else

    def states(self, instance: str) -> list[str]:
        """Return the states of an instance's ARQs, also of those that users do not see."""
        rows = self.rows(
            "SELECT state FROM accelerator_requests WHERE instance_uuid = %s", instance
        )
        return sorted(row["state"] for row in rows)

    def outbox(self, instance: str) -> list[str]:
        """Return the statuses of the events of an instance that Nova must still have."""
        rows = self.rows("SELECT status FROM outbox WHERE instance_uuid = %s", instance)
        return [row["status"] for row in rows]

    def leftovers(self) -> dict[str, int]:
        """Return how many rows there are of what should be gone when nobody uses a device."""
        return {
            "ARQs": self.number("SELECT COUNT(*) FROM accelerator_requests"),
            "owned handles": self.owned_handles(),
            "jobs": self.number(
                "SELECT COUNT(*) FROM jobs WHERE accelerator_request_id IS NOT NULL"
            ),
            "events": self.number("SELECT COUNT(*) FROM outbox"),
        }

    def deployables(self) -> dict[str, tuple[int, int]]:
        """Return, by provider, the number of accelerators and of ready handles."""
        rows = self.rows(
            "SELECT d.rp_uuid AS provider, d.num_accelerators AS total,"
            " (SELECT COUNT(*) FROM attach_handles h WHERE h.deployable_id = d.id"
            "  AND h.`condition` = 'ready') AS handles FROM deployables d"
        )
        return {row["provider"]: (row["total"], row["handles"]) for row in rows}

    def count_of_kind(self, needs_prepare: bool, needs_release: bool) -> int:
        """Return how many deployables have just these needs."""
        return self.number(
            "SELECT COUNT(*) FROM deployables WHERE needs_prepare = %s AND needs_release = %s",
            needs_prepare,
            needs_release,
        )

    def _do(self, statement: str, *values: Any, database: str | None) -> list[dict[str, Any]]:
        connection = pymysql.connect(
            **self._server, database=database, autocommit=True, cursorclass=DictCursor
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())
