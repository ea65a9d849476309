"""A private RabbitMQ server, with an Erlang port mapper of its own."""

import re
import secrets
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cyborg.tests.servers import system
from cyborg.tests.servers.base import Server, ServerError

AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
AMQP_METHOD_FRAME = b"\x01\x00\x00"  # of channel 0: the server begins to talk
CALL_SECONDS = 30
ERLANG = ("/usr/lib/erlang/erts-*/bin", "/usr/lib64/erlang/erts-*/bin")
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMQ(Server):
    """RabbitMQ with the user guest, and a virtual host for every test that asks for one.

    What was confirmed to the publisher survives ``kill()``, if message and queue are durable.
    """

    name = "rabbitmq"
    title = "RabbitMQ server"
    user = "rabbitmq"

    def __init__(self) -> None:
        super().__init__()
        self._distribution_port = 0
        self._mapper_port = 0

    @classmethod
    def binaries(cls) -> dict[str, str | None]:
        """Return the path of each program that is needed, None where it cannot be found."""
        found = cls._find("rabbitmq-server", "epmd", "erl_call", folders=ERLANG)
        return found | {"rabbitmq-server": _server_script()}

    def create_vhost(self) -> str:
        """Create an empty virtual host and return its transport URL.

        :raises ServerError: the server refused or does not answer.
        """
        name = f"cyborg_{secrets.token_hex(6)}"
        rights = ", ".join(['<<".*">>'] * 3)
        self._call(
            f'ok = rabbit_vhost:add(<<"{name}">>, <<"guest">>), '
            "ok = rabbit_auth_backend_internal:set_permissions("
            f'<<"guest">>, <<"{name}">>, {rights}, <<"guest">>).'
        )
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/{name}"

    def create_user(self, url: str, name: str, rights: Sequence[str]) -> str:
        """Create a user of a virtual host and return its transport URL; it must be a new one.

        :param rights: expressions for what it may configure, write and read.
        :raises ServerError: the server refused or does not answer.
        """
        user = _binary(name)
        self._call(f'ok = rabbit_auth_backend_internal:add_user({user}, {user}, <<"guest">>).')
        self.set_rights(url, name, rights)
        return f"rabbit://{name}:{name}@127.0.0.1:{self.port}/{_vhost(url)}"

    def set_rights(self, url: str, name: str, rights: Sequence[str]) -> None:
        """Let a user of a virtual host configure, write and read what fits three expressions.

        :raises ServerError: the server refused or does not answer.
        """
        patterns = ", ".join(_binary(pattern) for pattern in rights)
        self._call(
            "ok = rabbit_auth_backend_internal:set_permissions("
            f'{_binary(name)}, {_binary(_vhost(url))}, {patterns}, <<"guest">>).'
        )

    def set_password(self, name: str, password: str) -> None:
        """Let a user have another password from now on; connections that are there stay.

        :raises ServerError: there is no such user, or the server does not answer.
        """
        self._call(
            "ok = rabbit_auth_backend_internal:change_password("
            f'{_binary(name)}, {_binary(password)}, <<"guest">>).'
        )

    def add_vhost(self, url: str, users: Sequence[str]) -> None:
        """Make the virtual host that a URL names, and let users do everything there.

        :raises ServerError: the server refused or does not answer.
        """
        self._call(f'ok = rabbit_vhost:add({_binary(_vhost(url))}, <<"guest">>).')
        for name in users:
            self.set_rights(url, name, [".*"] * 3)

    def close_connections(self) -> None:
        """Close every client's connection, as a network that fails would.

        :raises ServerError: the server does not answer.
        """
        self._call('ok = rabbit_networking:close_all_connections("test").')

    def delete_user(self, name: str) -> None:
        """Delete a user.

        :raises ServerError: there is none, or the server does not answer.
        """
        self._call(f'ok = rabbit_auth_backend_internal:delete_user({_binary(name)}, <<"guest">>).')

    def delete_vhost(self, url: str) -> None:
        """Delete a virtual host, if it is there, and close the connections that it still has.

        :raises ServerError: the server refused or does not answer.
        """
        name = _vhost(url)
        self._call(
            f'case rabbit_vhost:exists(<<"{name}">>) of '
            f'true -> ok = rabbit_vhost:delete(<<"{name}">>, <<"guest">>); false -> ok end.'
        )

    def depths(self, url: str) -> dict[str, int]:
        """Return how many messages the queues of a virtual host have, delivered ones included.

        :raises ServerError: the server refused or does not answer.
        """
        lines = (
            '[[binary_to_list(element(4, Name)), " ", integer_to_list(Messages), ";"] '
            "|| [{name, Name}, {messages, Messages}] <- "
            f"[rabbit_amqqueue:info(Queue, [name, messages]) || Queue <- "
            f"rabbit_amqqueue:list({_binary(_vhost(url))})]]"
        )
        answer = self._evaluate(f"lists:flatten({lines}).")
        found = re.fullmatch(r'\{ok, (?:"(.*)"|\[\])\}', answer, re.DOTALL)
        if found is None:
            raise ServerError(f"{self.title}: depths {answer}")
        pairs = (each.rsplit(" ", 1) for each in (found[1] or "").split(";") if each)
        return {name: int(number) for name, number in pairs}

    def _call(self, expression: str) -> None:
        """Evaluate an Erlang expression that has to be ``ok``."""
        answer = self._evaluate(expression)
        if answer != "{ok, ok}":
            raise ServerError(f"{expression!r} answered {answer}")

    def _evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the server: 20 ms, where rabbitmqctl takes 500."""
        command = [self.binary("erl_call"), "-address", f"127.0.0.1:{self._distribution_port}"]
        try:
            result = subprocess.run(
                [*command, "-e"],
                input=f"{expression}\n",
                env=self._environment(),
                timeout=CALL_SECONDS,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ServerError(f"{self.title} does not answer {expression!r}") from error
        return f"{result.stdout}{result.stderr}".strip()

    def _check(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(AMQP_HEADER)
            if connection.recv(len(AMQP_METHOD_FRAME)) != AMQP_METHOD_FRAME:
                raise ConnectionError("no AMQP greeting")

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return super()._environment() | {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",  # not the system's
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_NODENAME": f"cyborg-{self.port}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
        }

    def _prepare(self) -> None:
        super()._prepare()
        self._distribution_port, self._mapper_port = self._new_port(), self._new_port()
        settings = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.console = true",
            "log.file = false",
            "disk_free_limit.absolute = 1MB",
        ]
        self._write("rabbitmq.conf", settings)
        self._write("rabbitmq-env.conf", [])
        self._write("plugins", ["[]."])

    def _script(self) -> str:
        mapper = [self.binary("epmd"), "-address", "127.0.0.1", "-port", str(self._mapper_port)]
        server = [self.binary("rabbitmq-server")]
        # Our own port mapper first: one that the server starts would outlive it.
        return f"{shlex.join(mapper)} & exec {shlex.join(server)}"


def _vhost(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _binary(text: str) -> str:
    """Return a string as Erlang source."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'


def _server_script() -> str | None:
    """Return RabbitMQ's own server script, never the wrapper that is meant for the system's one."""
    installed = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
    in_path = shutil.which("rabbitmq-server")
    for candidate in [*([in_path] if in_path else []), *system.newest(installed)]:
        script = Path(candidate).resolve()
        if script.name == "rabbitmq-server" and (script.parent / "rabbitmq-env").is_file():
            return str(script)
    return None
