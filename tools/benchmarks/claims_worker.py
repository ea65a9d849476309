"""Claim virtual functions of one card with many threads, and print how long each claim took.

It runs with the code that PYTHONPATH names, which may be an earlier release's: nothing is used but
what all of them have. The answer is JSON: the package that was measured, and milliseconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cyborg.no_eventlet  # must come before every other import of ours
from cyborg.conductor import releasing
from cyborg.conductor.environment import Environment
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.domain import clock
from cyborg.domain.inventory import DeviceReport
from cyborg.tests.functional.conductor.harness import NAME, bind, card, make
from cyborg.tests.helpers import RecordingAgents, deployable, device, handles, make_conf
from cyborg.tests.helpers import profile as make_profile
from cyborg.tests.helpers import report as make_report

FUNCTIONS = 128

#: Claims of each thread that do not count: they open connections and fill caches.
WARM_UP = 3


def one_shape() -> DeviceReport:
    """Return a card that is offered as its virtual functions."""
    return card(FUNCTIONS)


def two_shapes() -> DeviceReport:
    """Return a card that is also offered whole."""
    from cyborg.domain.hardware import Share  # noqa: PLC0415 -- earlier releases do not have it

    functions = tuple(
        dataclasses.replace(each, shares=(Share("the card", 1, FUNCTIONS),))
        for each in handles(FUNCTIONS)
    )
    [one] = (dataclasses.replace(each, shares=(Share("the card"),)) for each in handles(1, "0d"))
    whole = deployable(f"{NAME}_whole", 1, resource_class="PGPU", handles=(one,))
    return device(f"card-{NAME}", deployable(NAME, FUNCTIONS, handles=functions), whole)


def measure(env: Environment, threads: int, claims: int) -> list[float]:
    """Let so many threads claim and delete at once; return the milliseconds of each claim."""
    ready = threading.Barrier(threads)

    def live() -> list[float]:
        ready.wait()
        return [_claim(env) for _ in range(WARM_UP + claims)][WARM_UP:]

    with ThreadPoolExecutor(threads) as pool:
        lives = [pool.submit(live) for _ in range(threads)]
    return [each for one in lives for each in one.result()]


def _claim(env: Environment) -> float:
    uuids, instance = make(env), clock.new_uuid()
    begun = time.perf_counter()
    bind(env, *uuids, instance=instance)
    taken = time.perf_counter() - begun
    releasing.delete(env, uuids)
    return taken * 1000


def main() -> None:
    """Measure on an empty database, which gets the schema first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("database", help="the URL of an empty database")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--claims", type=int, required=True, help="of each thread")
    parser.add_argument("--two-shapes", action="store_true", help="offer the card whole as well")
    arguments = parser.parse_args()
    conf = make_conf(arguments.database, database={"max_pool_size": arguments.threads})
    database = Database(conf)
    schema.upgrade(database.engine)
    env = Environment(
        conf=conf,
        database=database,
        agents=RecordingAgents(),
        clock=clock.utcnow,
        new_uuid=clock.new_uuid,
    )
    make_report(env, two_shapes() if arguments.two_shapes else one_shape())
    make_profile(env)
    milliseconds = measure(env, arguments.threads, arguments.claims)
    database.dispose()
    package = str(Path(cyborg.__file__).resolve().parent)
    print(json.dumps({"package": package, "milliseconds": milliseconds}))


if __name__ == "__main__":
    main()
