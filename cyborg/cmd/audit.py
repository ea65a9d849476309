"""cyborg-manage audit: what the database, Placement and Nova disagree in, and its healing.

It reads ``cyborg.conf`` as a conductor does, and works beside any number of them: it is one more,
which sends agents and Nova nothing. What it has begun for them is a row that conductors see.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from oslo_config import cfg

from cyborg.clients.nova import load_nova
from cyborg.clients.placement import load_placement
from cyborg.cmd import configuration
from cyborg.cmd.audit_output import as_json, as_text
from cyborg.conductor.audit import healing, looking
from cyborg.conductor.audit.disagreement import Disagreement
from cyborg.conductor.environment import Environment, LeftToOthers
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.domain import clock
from cyborg.domain.errors import ConfigurationError, ServiceUnavailable
from cyborg.domain.work import Work

PROG = "cyborg-manage audit"

SOUND, TROUBLE, DISAGREEMENTS, NOT_WHOLE = 0, 1, 2, 3
INTERRUPTED = 130

#: How often what a healing has brought to light is healed as well.
ROUNDS = 3

_OPTIONS = [
    cfg.BoolOpt("heal", default=False, help="Repair what can be repaired, and look again."),
    cfg.StrOpt(
        "format",
        default="text",
        choices=["text", "json"],
        help="How to say it: a line for each disagreement, or one JSON document.",
    ),
    cfg.FloatOpt(
        "pause",
        default=5.0,
        min=0,
        max=600,
        help="Seconds between two looks: what changes meanwhile is in motion, and is not said.",
    ),
]


class _NoAgents:
    """Leaves to conductors what agents are to be sent."""

    def start(self, host: str, work: Work) -> None:
        """Leave it: its row says that it is to be sent."""
        raise ServiceUnavailable(f"left to a conductor: {work.kind} for {host}")


def audit(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status."""
    # What libraries warn of is in the error, too, which shall be one line.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.captureWarnings(capture=True)
    try:
        conf = configuration.read(
            PROG,
            arguments,
            prepare=lambda conf: conf.register_cli_opts(_OPTIONS),
            needs_database=True,
            logs=False,
        )
        return _audit(conf)
    except (ConfigurationError, ServiceUnavailable) as error:
        return _trouble(error)
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _audit(conf: cfg.ConfigOpts) -> int:
    database = Database(conf)
    try:
        env = Environment(
            conf,
            database,
            _NoAgents(),
            clock.utcnow,
            clock.new_uuid,
            load_placement(conf),
            load_nova(conf),
            LeftToOthers(),
        )
        _require_schema(database)
        look, healed = _look(env, conf)
    finally:
        database.dispose()
    say = as_json if conf.format == "json" else as_text
    print(say(look, healed, heals=conf.heal), flush=True)
    if look.disagreements:
        return DISAGREEMENTS
    return SOUND if look.is_whole else NOT_WHOLE


def _look(env: Environment, conf: cfg.ConfigOpts) -> tuple[looking.Look, list[Disagreement]]:
    """Look, heal if that is asked for, and look again; return what remains, and what was healed."""

    def pause() -> None:
        time.sleep(conf.pause)

    look = looking.twice(env, pause)
    healed: dict[object, Disagreement] = {}
    for _ in range(ROUNDS if conf.heal else 0):
        known = healed.keys()
        new = [each for each in look.disagreements if each.identity not in known]
        done = healing.heal(env, new)
        healed |= {each.identity: each for each in done}
        if not done:
            break
        look = looking.twice(env, pause)
    remaining = {each.identity for each in look.disagreements}
    return look, [each for identity, each in healed.items() if identity not in remaining]


def _require_schema(database: Database) -> None:
    with database.reader() as connection:
        found = schema.version(connection)
    if found != schema.head():
        raise ConfigurationError(
            f"the database's schema is at {found or 'nothing'}, this release needs "
            f"{schema.head()}: run 'cyborg-dbsync upgrade'"
        )


def _trouble(error: Exception) -> int:
    reason = error if isinstance(error, ConfigurationError) else error.__cause__ or error
    text = str(reason).splitlines()[0] if str(reason) else str(error)
    if not isinstance(error, ConfigurationError):
        text = f"the database cannot be read: {text}"
    print(text if text.startswith(PROG) else f"{PROG}: {text}", file=sys.stderr)
    return TROUBLE
