"""What the two database servers have in common."""

import secrets
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from cyborg.tests.servers.base import Server


class DatabaseServer(Server):
    """A server that hands out databases as SQLAlchemy URLs."""

    not_ready = (OperationalError,)
    timeouts: ClassVar[dict[str, int]]  # in seconds, as the Python driver calls them

    @abstractmethod
    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""

    @abstractmethod
    def create_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""

    @abstractmethod
    def drop_database(self, url: str) -> None:
        """Drop a database, if it is there, and whatever connections it still has."""

    @staticmethod
    def _new_name() -> str:
        return f"cyborg_{secrets.token_hex(6)}"

    @staticmethod
    def _name_in(url: str) -> str:
        return sa.make_url(url).database or ""

    @contextmanager
    def _connection(self, database: str) -> Iterator[sa.Connection]:
        engine = sa.create_engine(
            self.url(database),
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=self.timeouts,
        )
        with engine.connect() as connection:
            yield connection
