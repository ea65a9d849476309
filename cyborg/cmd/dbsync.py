"""cyborg-dbsync: the database's schema."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from alembic.util import CommandError
from oslo_config import cfg
from oslo_db import exception as db_exception

from cyborg.cmd import configuration
from cyborg.db import schema
from cyborg.db.database import ReadDatabase

PROG = "cyborg-dbsync"


def _register(conf: cfg.ConfigOpts) -> None:
    def commands(subparsers: Any) -> None:
        upgrade = subparsers.add_parser("upgrade", help="Bring the schema up to date.")
        upgrade.add_argument("--revision", default="head", help="Version to go to.")
        subparsers.add_parser("version", help="Print the schema's version.")
        stamp = subparsers.add_parser("stamp", help="Record a version, run nothing.")
        stamp.add_argument("--revision", default="head", help="Version to record.")

    conf.register_cli_opt(cfg.SubCommandOpt("command", title="Commands", handler=commands))


def sync(arguments: Sequence[str]) -> int:
    """Do what the arguments say."""
    conf = configuration.read(PROG, arguments, prepare=_register, needs_database=True)
    engine = ReadDatabase(conf).engine
    try:
        if conf.command.name == "upgrade":
            schema.upgrade(engine, conf.command.revision)
        elif conf.command.name == "stamp":
            schema.stamp(engine, conf.command.revision)
        else:
            with engine.connect() as connection:
                print(schema.version(connection) or "none")
    except (CommandError, db_exception.DBError) as error:
        print(f"{PROG}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


def main() -> None:
    """Entry point."""
    sys.exit(configuration.main(PROG, sync))
