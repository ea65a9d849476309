"""A private MariaDB server."""

import shlex
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from cyborg.tests.servers.databases import DatabaseServer

NO_SUCH_THREAD = 1094


class MariaDB(DatabaseServer):
    """MariaDB without password for root, and without waiting for the disk.

    Committed data survives ``kill()``: they are with the kernel, if not on the disk.
    """

    name = "mariadb"
    title = "MariaDB server"
    user = "mysql"
    timeouts: ClassVar[dict[str, int]] = {"connect_timeout": 5, "read_timeout": 60}

    @classmethod
    def binaries(cls) -> dict[str, str | None]:
        """Return the path of each program that is needed, None where it cannot be found."""
        return cls._find(
            "mariadbd", "mariadb-install-db", folders=("/usr/sbin", "/usr/bin", "/usr/libexec")
        )

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def create_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        name = self._new_name()
        with self._connection("") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, if it is there, and whatever connections it still has."""
        name = self._name_in(url)
        users = sa.text("SELECT id FROM information_schema.processlist WHERE db = :name")
        with self._connection("") as connection:
            # Their locks would keep DROP waiting.
            for thread in connection.scalars(users, {"name": name}).all():
                try:
                    connection.exec_driver_sql(f"KILL {thread}")
                except OperationalError as error:
                    if error.orig is None or error.orig.args[0] != NO_SUCH_THREAD:
                        raise
            connection.exec_driver_sql("SET lock_wait_timeout = 30")
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")

    def _check(self) -> None:
        with self._connection("") as connection:
            connection.exec_driver_sql("SELECT 1")

    def _script(self) -> str:
        data = f"--datadir={self.folder}/data"
        install = [
            self.binary("mariadb-install-db"),
            "--no-defaults",
            "--force",  # also where the host's own name does not resolve
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
            data,
        ]
        serve = [
            self.binary("mariadbd"),
            "--no-defaults",
            data,
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--max-connections=400",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-doublewrite=0",
        ]
        return f"[ -d data ] || {shlex.join(install)} && exec {shlex.join(serve)}"
