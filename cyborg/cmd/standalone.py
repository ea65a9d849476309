"""cyborg-standalone: API, conductor and agent in one process, for one machine.

It is the same code as the separate processes, with SQLite for the database, messages that
stay in the process, and nobody authenticated; so it listens on loopback only unless it is
told otherwise.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from cyborg.agent.service import AgentService
from cyborg.cmd import api, configuration, process
from cyborg.conductor.service import ConductorService
from cyborg.db import schema
from cyborg.db.database import ReadDatabase
from cyborg.domain.errors import ConfigurationError
from cyborg.files import Hold, InUse, make_private
from cyborg.rpc.transport import get_transport

PROG = "cyborg-standalone"

CLOUD = "cyborg-standalone"

DATA_DIRECTORY = "cyborg-standalone"

#: Below it: what devices can be programmed with.
BITSTREAMS = "bitstreams"

#: Seconds that the agent and the API wait for the conductor, which hardly takes any.
START_TIMEOUT = 10

#: The first line of a clouds.yaml of ours; another file of that name is left alone.
MARK = "# Written by cyborg-standalone; rewritten at every start."

_CONFIGURATION = """\
# Written once by cyborg-standalone; change what you like, and start it again (or send it
# SIGHUP for the options of [fake_driver]).
[DEFAULT]
auth_strategy = noauth
transport_url = fake://
state_path = {directory}
log_file = {directory}/cyborg.log
use_stderr = true

[database]
connection = sqlite:///{directory}/cyborg.sqlite

[api]
host_ip = 127.0.0.1
port = 6666

[agent]
enabled_drivers = fake_driver
# The name that binds must give as the host.
resource_provider_name = {host}
# Bitstreams for programming: files whose names are the images' uuids.
bitstream_directory = {directory}/{bitstreams}

[fake_driver]
# How many devices, and how many attach handles each.
#devices = 1
#handles = 16
# Seconds that a bind takes, and how often it fails before it works (-1: always).
#prepare_delay = 0
#prepare_failures = 0
# The same of giving a device back, and of programming it.
#release_delay = 0
#release_failures = 0
#program_delay = 0
#program_failures = 0
"""

_CLOUDS = """\
{mark}
clouds:
  {cloud}:
    auth_type: none
    endpoint: {url}/v2
    accelerator_endpoint_override: {url}/v2
    accelerator_api_version: "2"
    region_name: ""
"""

_WELCOME = """
Cyborg answers on {url}
  data     {directory}
  clouds   {clouds}

Next, in another terminal, in this directory:
  make tour
or, with curl or an openstack client that has accelerator commands:
  curl -s {url}/v2/devices
{export}  openstack --os-cloud {cloud} accelerator device list
Ctrl-C stops the service; its data stays.
"""


def _register(conf: cfg.ConfigOpts) -> None:
    conf.register_cli_opts(
        [
            cfg.StrOpt(
                "data-dir",
                default=DATA_DIRECTORY,
                help="Directory of the configuration, the database and the log.",
            ),
            cfg.StrOpt(
                "clouds-file",
                help="Where to write the clouds.yaml; by default into the data directory.",
            ),
            cfg.HostAddressOpt("listen", help="Address to listen on, before [api] host_ip."),
            cfg.PortOpt("port", help="Port to listen on, before [api] port."),
            cfg.BoolOpt(
                "allow-unauthenticated-remote",
                default=False,
                help="Listen even where others can reach it, though nobody is authenticated.",
            ),
        ]
    )


def serve(arguments: Sequence[str]) -> int:
    """Run everything until told to stop."""
    # What is made from here on is for nobody else to read: database, log and all that comes.
    os.umask(0o077)
    directory = _data_directory(arguments)
    if not {"-h", "--help", "--version"}.isdisjoint(arguments):
        _read(arguments, [])
    hold = _hold(directory)
    try:
        return _serve(_read(arguments, [str(_configuration_file(directory))]), directory)
    finally:
        hold.let_go()


def _serve(conf: cfg.ConfigOpts, directory: Path) -> int:
    transport = get_transport(conf)
    http = api.ApiService(conf, transport)
    try:
        database = ReadDatabase(conf)
        schema.upgrade(database.engine)
        database.dispose()
        url = _url(conf)
        clouds = Path(conf.clouds_file or directory / "clouds.yaml").absolute()
        _write_clouds(clouds, url)
        services: list[process.Service] = [
            _Conductor(conf, transport, standalone=True),
            AgentService(conf, transport, standalone=True),
            http,
            _Welcome(url, directory, clouds),
        ]
    except BaseException:
        # Its threads would keep the process.
        http.stop(0)
        raise
    return process.run(conf, services)


def _read(arguments: Sequence[str], config_files: Sequence[str]) -> cfg.ConfigOpts:
    conf = configuration.read(
        PROG, arguments, prepare=_register, needs_database=True, config_files=config_files
    )
    # One that lies in /etc/cyborg is for another service than this.
    conf.set_default("api_paste_config", "", group="api")
    if conf.listen:
        conf.set_override("host_ip", conf.listen, group="api")
    if conf.port:
        conf.set_override("port", conf.port, group="api")
    return conf


class _Conductor(ConductorService):
    """A conductor that the others need not wait for."""

    def start(self) -> None:
        super().start()
        self.wait_until_serving(START_TIMEOUT)


class _Welcome:
    """Says that the service answers, once it does."""

    def __init__(self, url: str, directory: Path, clouds: Path) -> None:
        here = clouds.parent == Path.cwd()
        self._text = _WELCOME.format(
            url=url,
            directory=directory,
            clouds=clouds,
            cloud=CLOUD,
            export="" if here else f"  export OS_CLIENT_CONFIG_FILE={clouds}\n",
        )

    def start(self) -> None:
        print(self._text, flush=True)

    def stop(self, timeout: float) -> None:
        """Nothing to stop."""

    def reload(self) -> None:
        """Nothing to reload."""


def _data_directory(arguments: Sequence[str]) -> Path:
    """Return the data directory, which must be known before the configuration is read."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir", default=DATA_DIRECTORY)
    known, _ = parser.parse_known_args(list(arguments))
    return Path(known.data_dir).absolute()


def _hold(directory: Path) -> Hold:
    try:
        return Hold(directory)
    except InUse as error:
        raise ConfigurationError(str(error)) from error
    except OSError as error:
        raise ConfigurationError(f"cannot use {directory}: {error}") from error


def _configuration_file(directory: Path) -> Path:
    path = directory / "cyborg.conf"
    try:
        make_private(directory / BITSTREAMS)
        if not path.exists():
            host = socket.gethostname()
            text = _CONFIGURATION.format(directory=directory, host=host, bitstreams=BITSTREAMS)
            path.write_text(text)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}") from error
    return path


def _url(conf: cfg.ConfigOpts) -> str:
    address = str(conf.api.host_ip)
    if address in ("0.0.0.0", "::"):  # noqa: S104 -- compared with, not listened on
        address = "127.0.0.1"
    return f"http://{f'[{address}]' if ':' in address else address}:{conf.api.port}"


def _write_clouds(path: Path, url: str) -> None:
    if path.exists() and not path.read_text().startswith(MARK):
        print(f"{path} is not ours and stays as it is: no cloud {CLOUD} was written")
        return
    path.write_text(_CLOUDS.format(mark=MARK, cloud=CLOUD, url=url))


def main() -> None:
    """Entry point."""
    process.leave(configuration.main(PROG, serve))
