"""cyborg-manage bootstrap: what an operator does once for a cloud.

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

if TYPE_CHECKING:
    from cyborg.cmd.cloud import Cloud

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

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


def add_parser(commands: Commands, cloud: Cloud | None) -> argparse.ArgumentParser:
    """Add the command, with the options of OpenStack clients if the cloud is known."""
    bootstrap: argparse.ArgumentParser = commands.add_parser(
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
    return bootstrap


def cloud_of(arguments: Sequence[str]) -> Cloud:
    """Return the cloud that options, variables or clouds.yaml name."""
    from cyborg.cmd.cloud import Cloud  # noqa: PLC0415 -- slow to import

    return Cloud(PROG, arguments)


def bootstrap(options: argparse.Namespace, cloud: Cloud) -> int:
    """Do what the options say."""
    # What libraries warn of is in the error, too, which shall be one line.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        return _bootstrap(options, cloud)
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted; run it again to complete", file=sys.stderr)
        return INTERRUPTED


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


def _bootstrap(options: argparse.Namespace, cloud: Cloud) -> int:
    from cyborg.cmd import bootstrap  # noqa: PLC0415 -- slow to import, as the next
    from cyborg.cmd.cloud import ERRORS, identity_of  # noqa: PLC0415 -- as the last

    try:
        connection = cloud.connect(options)
        urls = {name: url for name in _INTERFACES if (url := getattr(options, f"{name}_url"))}
        region = options.region or connection.config.get_region_name("identity")
        if urls and not region:
            raise ConfigurationError("no region for the endpoints: --region")
        make = bootstrap.Bootstrap(identity_of(connection), _say, dry_run=options.dry_run)
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
        return _trouble(configuration.joined(error))
    except ERRORS as error:
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
            return f"Keystone does not accept the credentials: {configuration.joined(error)}"
        case 403:
            return f"Keystone's administrator is needed: {configuration.joined(error)}"
    if isinstance(error, keystone.ConnectFailure | keystone.DiscoveryFailure):
        return f"Keystone cannot be reached: {configuration.joined(error)}"
    return f"Keystone: {configuration.joined(error)}"


def _say(line: str) -> None:
    print(line, flush=True)


def _trouble(text: str) -> int:
    print(f"{PROG}: {text}", file=sys.stderr)
    return TROUBLE
