"""Private MariaDB, PostgreSQL, RabbitMQ, Keystone and Placement servers for tests.

Each class starts a server of its own from installed binaries: free ports on 127.0.0.1, a folder of
its own, nothing shared with the servers of the machine. Nothing stays behind, whatever way the
test process ends. Nova and Glance have stand-ins, in the test process. ``plugin`` offers them as
pytest fixtures.
"""

from cyborg.tests.servers.base import Server, ServerError
from cyborg.tests.servers.glance import GlanceStandIn, StandInImage
from cyborg.tests.servers.keystone import Keystone
from cyborg.tests.servers.mariadb import MariaDB
from cyborg.tests.servers.nova import NovaStandIn, StandInServer
from cyborg.tests.servers.placement import Placement
from cyborg.tests.servers.postgresql import PostgreSQL
from cyborg.tests.servers.rabbitmq import RabbitMQ

__all__ = [
    "GlanceStandIn",
    "Keystone",
    "MariaDB",
    "NovaStandIn",
    "Placement",
    "PostgreSQL",
    "RabbitMQ",
    "Server",
    "ServerError",
    "StandInImage",
    "StandInServer",
]
