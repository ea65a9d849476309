"""cyborg-manage: what an operator does once for a cloud.

It reads no ``cyborg.conf``: it is for whoever administers Keystone, on any machine.
"""

from __future__ import annotations

import argparse
import functools
import getpass
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from keystoneauth1 import exceptions as keystone

from cyborg.cmd import configuration
from cyborg.domain.errors import ConfigurationError
from cyborg.version import version

if TYPE_CHECKING:
    from openstack.connection import Connection

PROG = "cyborg-manage"
COMMAND = "bootstrap"

#: The service user's password, where no file has it.
PASSWORD_VARIABLE = "CYBORG_SERVICE_PASSWORD"  # noqa: S105 -- a name

TROUBLE = 1
INTERRUPTED = 130

_INTERFACES = ("public", "internal", "admin")

_HELP = "Make in Keystone what the service needs."
_DESCRIPTION = f"""{_HELP} Always: the roles accelerator_user and accelerator_admin. Where asked
for: the service with its endpoints, and the service user. What is there is left as it is; an
endpoint with another URL is changed. It can be run again at any time. Who asks must be Keystone's
administrator, by options, OS_ variables or clouds.yaml, as for every OpenStack client."""


def manage(arguments: Sequence[str]) -> int:
    """Do what the arguments say."""
    # For --version there is no need to load openstacksdk, nor for OS_CLOUD to be right.
    cloud = _Cloud(arguments) if COMMAND in arguments else None
    parser, bootstrap = _parsers(cloud)
    with configuration.one_line():
        options = parser.parse_args(list(arguments))
        if not options.service_user and (options.password_file or options.update_password):
            bootstrap.error("a password without --service-user")
    assert cloud
    # What libraries warn of is in the error, too, which shall be one line.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        return _bootstrap(options, cloud)
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted; run it again to complete", file=sys.stderr)
        return INTERRUPTED


class _Cloud:
    """Which Keystone, and as whom: openstacksdk's own options."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Find out which options there are, which depends on the kind of authentication.

        :raises ConfigurationError: a cloud or a kind of authentication that does not exist.
        """
        # Slow to import, see manage().
        from openstack import exceptions  # noqa: PLC0415
        from openstack.config import OpenStackConfig  # noqa: PLC0415

        self.parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        try:
            self._config = OpenStackConfig(app_name=PROG, app_version=version())
            self._config.register_argparse_arguments(self.parser, list(arguments))
        except (exceptions.ConfigException, AttributeError, TypeError, ValueError) as error:
            # The others: clouds.yaml has something of the wrong kind.
            raise ConfigurationError(f"no cloud to connect to: {_joined(error)}") from error
        # Its default would hide what clouds.yaml says.
        self.parser.set_defaults(os_interface=os.environ.get("OS_INTERFACE"))
        self._names = set(vars(self.parser.parse_known_args([])[0]))

    def connect(self, options: argparse.Namespace) -> Connection:
        """Return the connection, which asks nobody yet.

        :raises ConfigurationError: no cloud, or not all of its credentials.
        """
        from openstack import exceptions  # noqa: PLC0415
        from openstack.connection import Connection  # noqa: PLC0415

        ours = {name: value for name, value in vars(options).items() if name in self._names}
        try:
            region = self._config.get_one(argparse=argparse.Namespace(**ours))
            return Connection(config=region)
        except (exceptions.ConfigException, keystone.ClientException) as error:
            raise ConfigurationError(f"no cloud to connect to: {_joined(error)}") from error


def _parsers(
    cloud: _Cloud | None,
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(prog=PROG, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{PROG} {version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bootstrap = commands.add_parser(
        COMMAND,
        usage=f"{PROG} {COMMAND} [OPTION ...]",
        help=_HELP,
        description=_DESCRIPTION,
        parents=[cloud.parser] if cloud else [],
        allow_abbrev=False,
    )
    add = bootstrap.add_argument_group("What to make").add_argument
    add("--dry-run", action="store_true", help="Look only, and say what would be made.")
    _add_catalogue(add)
    _add_service_user(add)
    return parser, bootstrap


def _add_catalogue(add: Callable[..., object]) -> None:
    add("--service", action="store_true", help="The service cyborg of type accelerator.")
    for interface in _INTERFACES:
        add(
            f"--{interface}-url",
            metavar="URL",
            type=_url,
            help=f"The service, with this {interface} endpoint: http://HOST:6666/v2 or the like.",
        )
    add(
        "--region",
        metavar="NAME",
        help="The endpoints' region, made if it is missing; by default that of the cloud.",
    )


def _add_service_user(add: Callable[..., object]) -> None:
    add(
        "--service-user",
        metavar="NAME",
        nargs="?",
        const="cyborg",
        help="This user, by default cyborg, with the roles admin and service in the service "
        f"project. Its password is in --password-file, in {PASSWORD_VARIABLE}, or asked for.",
    )
    add(
        "--service-project",
        metavar="NAME",
        default="service",
        help="The user's project, by default service, made if it is missing.",
    )
    add(
        "--service-domain",
        metavar="NAME",
        default="Default",
        help="Name or id of the domain of user and project, by default Default.",
    )
    add("--password-file", metavar="FILE", type=Path, help="Has the service user's password.")
    add("--update-password", action="store_true", help="Change that of a user who is there.")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or text != text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not the URL of a service")
    return text


def _bootstrap(options: argparse.Namespace, cloud: _Cloud) -> int:
    from openstack import exceptions  # noqa: PLC0415 -- slow, see manage()
    from openstack.identity.v3._proxy import Proxy  # noqa: PLC0415

    from cyborg.cmd import bootstrap  # noqa: PLC0415 -- imports openstacksdk

    try:
        connection = cloud.connect(options)
        urls = {name: url for name in _INTERFACES if (url := getattr(options, f"{name}_url"))}
        region = options.region or connection.config.get_region_name("identity")
        if urls and not region:
            raise ConfigurationError("no region for the endpoints: --region")
        identity = connection.identity
        if not isinstance(identity, Proxy):
            raise ConfigurationError("Keystone's API v3 is needed")
        make = bootstrap.Bootstrap(identity, _say, dry_run=options.dry_run)
        make.roles()
        if options.service or urls:
            make.catalogue(bootstrap.Catalogue(region, urls))
        if options.service_user:
            make.service_user(
                bootstrap.ServiceUser(
                    name=options.service_user,
                    project=options.service_project,
                    domain=options.service_domain,
                    password=functools.partial(_password, options.password_file),
                    update_password=options.update_password,
                )
            )
    except bootstrap.BootstrapError as error:
        return _trouble(_joined(error))
    except (exceptions.SDKException, keystone.ClientException) as error:
        return _trouble(_reason(error))
    return 0


def _password(file: Path | None) -> str:
    """Return the service user's password.

    :raises ConfigurationError: there is none.
    """
    if file:
        try:
            password = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the password: {error}") from error
    elif password := os.environ.get(PASSWORD_VARIABLE, ""):
        return password
    elif sys.stdin.isatty():
        password = getpass.getpass("Password of the service user: ")
        if getpass.getpass("Once more: ") != password:
            raise ConfigurationError("these were two passwords")
    if not password:
        raise ConfigurationError(
            f"no password of the service user: --password-file or {PASSWORD_VARIABLE}"
        )
    return password


def _reason(error: Exception) -> str:
    # Keystone's own text says what, not what to do.
    match getattr(error, "status_code", None) or getattr(error, "http_status", None):
        case 401:
            return f"Keystone does not accept the credentials: {_joined(error)}"
        case 403:
            return f"Keystone's administrator is needed: {_joined(error)}"
    if isinstance(error, keystone.ConnectFailure | keystone.DiscoveryFailure):
        return f"Keystone cannot be reached: {_joined(error)}"
    return f"Keystone: {_joined(error)}"


def _joined(error: Exception) -> str:
    return " ".join(str(error).split())


def _say(line: str) -> None:
    print(line, flush=True)


def _trouble(text: str) -> int:
    print(f"{PROG}: {text}", file=sys.stderr)
    return TROUBLE


def main() -> None:
    """Entry point."""
    sys.exit(configuration.main(PROG, manage))
