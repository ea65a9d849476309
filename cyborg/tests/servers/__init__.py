"""Private MariaDB, PostgreSQL and RabbitMQ servers for tests.

Each class starts a server of its own from installed binaries: free ports on 127.0.0.1, a folder of
its own, nothing shared with the servers of the machine. Nothing stays behind, whatever way the
test process ends. ``plugin`` offers them as pytest fixtures.
"""

from cyborg.tests.servers.base import Server, ServerError
from cyborg.tests.servers.mariadb import MariaDB
from cyborg.tests.servers.postgresql import PostgreSQL
from cyborg.tests.servers.rabbitmq import RabbitMQ

__all__ = ["MariaDB", "PostgreSQL", "RabbitMQ", "Server", "ServerError"]
