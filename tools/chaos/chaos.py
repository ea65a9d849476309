"""Let processes be killed, frozen, slow and full under load, and see that nothing is lost.

The exit status is 0 if every row of the table was run and met its target, 1 if not, and 2 if the
world could not be started.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import settings
from checks import Footprint, always, come_to_rest, footprints, growth
from fault import Fault
from settings import Settings
from table import FAILED, Row, all_faults, printed
from world import World

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds after which everything is at rest, once nothing goes wrong any more.
_REST = 60
#: Fills the pools of threads and connections, whose size is no leak.
_WARM_CLIENTS = 40


class Run:
    """A run of some faults, one after the other, in one world as long as that is whole."""

    def __init__(self, folder: Path, wanted: Settings) -> None:
        self._folder = folder
        self._settings = wanted
        self._world: World | None = None
        self._worlds = 0
        self._before: dict[str, Footprint] = {}

    def go(self, fault: Fault) -> Row:
        """Try one fault."""
        began = time.monotonic()
        verdict, measured = "ok", ""
        try:
            world = self._whole()
            began = time.monotonic()
            measured = fault.run(world)
            self._end(world)
        except Exception as error:  # any is a row that is not good
            verdict, measured = FAILED, f"{measured} {type(error).__name__}: {error}"
            traceback.print_exc()
            self._print_logs()
            self.close()
        row = Row(fault, verdict, measured.strip(), time.monotonic() - began)
        _print(f"{fault.number:4} {verdict:6} {row.seconds:5.1f} s  {row.measured[:300]}")
        return row

    def close(self) -> None:
        """End the world, if there is one."""
        world, self._world = self._world, None
        if world is not None:
            world.close()

    def _whole(self) -> World:
        if self._world is None:
            self._worlds += 1
            folder = self._folder / f"world-{self._worlds}"
            folder.mkdir()
            self._world = World(folder, self._settings)
            began = time.monotonic()
            self._world.start()
            self._warm(self._world)
            _print(f"     a world is there after {time.monotonic() - began:.1f} s")
        self._world.load.forget()
        return self._world

    def _warm(self, world: World) -> None:
        with world.load.background(_WARM_CLIENTS):
            time.sleep(world.settings.warming)
        world.load.check()
        _expire(world)
        self._before = footprints(world)

    def _end(self, world: World) -> None:
        """Let the fault be over, and see that nothing of it is left."""
        world.mend()
        world.load.check(may_be_silent=True)
        _expire(world)
        come_to_rest(world, _REST)
        always(world)
        grown = growth(self._before, footprints(world))
        assert not grown, f"memory, threads: {grown}"

    def _print_logs(self) -> None:
        if self._world is not None:
            for log in sorted(self._world.folder.glob("*.log")):
                _print(f"     log: {log}")


def _expire(world: World) -> None:
    """Delete what was made for a request that got no answer, as its expiry does after a day."""
    unanswered = world.load.tally.unanswered("POST")
    orphans = world.rows("SELECT uuid FROM accelerator_requests WHERE state = 'Initial'")
    assert len(orphans) <= unanswered, f"{len(orphans)} ARQs are nobody's, of {unanswered}"
    for (uuid,) in orphans:
        world.load.nova.insist("DELETE", f"/v2/accelerator_requests?arqs={uuid}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="what takes at most 90 s")
    parser.add_argument(
        "--only", default="", metavar="F1,F2", help="these rows only; the others are not run"
    )
    parser.add_argument("--database", choices=["mariadb", "postgresql"], default="mariadb")
    parser.add_argument("--queues", choices=["classic", "quorum"], default="classic")
    parser.add_argument("--list", action="store_true", help="list the rows, and do nothing")
    return parser.parse_args()


def _only(arguments: argparse.Namespace) -> set[str]:
    return {number for number in arguments.only.split(",") if number}


def _go(arguments: argparse.Namespace, faults: Sequence[Fault]) -> int:
    wanted = settings.short() if arguments.short else settings.long()
    wanted = replace(wanted, database=arguments.database, queues=arguments.queues)
    only = _only(arguments)
    rows = []
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="cyborg-chaos-"))
    run = Run(folder, wanted)
    try:
        for fault in faults:
            chosen = not only or fault.number in only
            rows.append(run.go(fault) if chosen else Row(fault))
    finally:
        run.close()
        # The logs of what was not good are of interest.
        if not any(row.verdict == FAILED for row in rows):
            shutil.rmtree(folder)
    _print(f"\n{wanted.database}, {wanted.queues} queues, {time.monotonic() - began:.0f} s")
    _print(printed(rows))
    return 0 if all(row.is_good for row in rows) else 1


def _print(line: str) -> None:
    print(line, flush=True)


def _interrupted(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Try what is asked for, and print the table."""
    arguments = _arguments()
    only = _only(arguments)
    faults = [
        fault
        for fault in all_faults()
        if fault.is_short or not arguments.short or fault.number in only
    ]
    if arguments.list:
        for fault in faults:
            _print(f"{fault.number:4} {fault.what}: {fault.target}")
        return 0
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(settings.DRIVERS), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    logging.disable(logging.WARNING)  # of the stand-ins' Keystone middleware
    for number in _SIGNALS:
        signal.signal(number, _interrupted)
    return _go(arguments, faults)


if __name__ == "__main__":
    sys.exit(main())
