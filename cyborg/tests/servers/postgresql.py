"""A private PostgreSQL server."""

import ctypes
import shlex
import signal
from typing import ClassVar

from cyborg.tests.servers.databases import DatabaseServer

IPC_RMID = 0
SHARED_MEMORY_LINE = 6  # of postmaster.pid: key and id


class PostgreSQL(DatabaseServer):
    """PostgreSQL without passwords, and without waiting for the disk.

    Committed data survives ``kill()``: they are with the kernel, if not on the disk.
    """

    name = "postgresql"
    title = "PostgreSQL server"
    user = "postgres"
    end_signal = signal.SIGQUIT  # at once, but it gives its System V shared memory back
    timeouts: ClassVar[dict[str, int]] = {"connect_timeout": 5}

    @classmethod
    def binaries(cls) -> dict[str, str | None]:
        """Return the path of each program that is needed, None where it cannot be found."""
        return cls._find(
            "postgres", "initdb", folders=("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
        )

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        name = self._new_name()
        with self._connection("postgres") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, if it is there, and whatever connections it still has."""
        with self._connection("postgres") as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {self._name_in(url)} WITH (FORCE)")

    def kill(self) -> None:
        """End all processes of the server with SIGKILL; port and data stay for ``start()``.

        :raises ServerError: they do not end.
        """
        super().kill()
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return
        # The killed server left it, and outside its folder nobody would remove it.
        if len(lines) > SHARED_MEMORY_LINE:
            identifier = int(lines[SHARED_MEMORY_LINE].split()[1])
            ctypes.CDLL(None).shmctl(identifier, IPC_RMID, None)

    def _check(self) -> None:
        with self._connection("postgres") as connection:
            connection.exec_driver_sql("SELECT 1")

    def _script(self) -> str:
        data = f"{self.folder}/data"
        install = [self.binary("initdb"), "--pgdata", data, "--username=postgres"]
        install += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 300,
            "dynamic_shared_memory_type": "mmap",  # in the folder, not in /dev/shm
            "fsync": "off",
            "full_page_writes": "off",
        }
        serve = [self.binary("postgres"), "-D", data, "-p", str(self.port)]
        for key, value in settings.items():
            serve += ["-c", f"{key}={value}"]
        return f"[ -d data ] || {shlex.join(install)} && exec {shlex.join(serve)}"
