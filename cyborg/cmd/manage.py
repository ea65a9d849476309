"""cyborg-manage: what an operator does for a cloud, once or when something seems wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cyborg.cmd import bootstrap_command, configuration
from cyborg.version import version

PROG = "cyborg-manage"

_AUDIT = "audit"
_AUDIT_HELP = "Compare the database, Placement and Nova, and say what disagrees."


def manage(arguments: Sequence[str]) -> int:
    """Do what the arguments say."""
    if arguments and arguments[0] == _AUDIT:
        # It reads cyborg.conf, and oslo.config its arguments.
        from cyborg.cmd import audit  # noqa: PLC0415 -- slow to import

        return audit.audit(arguments[1:])
    # For --version there is no need to load openstacksdk, nor for OS_CLOUD to be right.
    asked = bootstrap_command.COMMAND in arguments
    cloud = bootstrap_command.cloud_of(arguments) if asked else None
    parser = argparse.ArgumentParser(prog=PROG, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{PROG} {version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bootstrap = bootstrap_command.add_parser(commands, cloud)
    commands.add_parser(_AUDIT, help=_AUDIT_HELP)
    with configuration.one_line():
        options = parser.parse_args(list(arguments))
        if cloud is None:
            parser.error(f"the command comes first: {PROG} {_AUDIT} ...")
        if not options.service_user and (options.password_file or options.update_password):
            bootstrap.error("a password without --service-user")
    return bootstrap_command.bootstrap(options, cloud)


def main() -> None:
    """Entry point."""
    sys.exit(configuration.main(PROG, manage))
