"""Measure what a claim costs, beside what it cost in an earlier commit.

A device that is offered in one shape takes no lock that it did not take then: 32 threads claim and
delete on 128 virtual functions of one card, and the 99th percentile of their claims stays within
1.5 times of what it was. This is measured on MariaDB and PostgreSQL, with private servers, in
turns: one process with the earlier commit's code and schema, one with this working tree's, on a
fresh database each. What claims of a card cost that is also offered whole is told beside it.

The exit status is 0 if the bound is kept, 1 if not, and 2 if it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from cyborg.tests.servers import MariaDB, PostgreSQL, ServerError
from cyborg.tests.servers.databases import DatabaseServer
from cyborg.tests.servers.installed import NotInstalledError

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).resolve().with_name("claims_worker.py")

#: What the 99th percentile may be, in those of the earlier commit.
BOUND = 1.5

#: Seconds for one process.
LIMIT = 300

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotMeasure(Exception):
    """There is no result, neither a good nor a bad one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a tree's code, and how the card is offered."""

    name: str
    tree: Path
    options: tuple[str, ...] = ()
    #: The milliseconds of the claims of each turn.
    turns: list[list[float]] = field(default_factory=list)

    def percentile(self, number: int) -> float:
        """Return a percentile of the claims of all turns."""
        return _percentile([each for turn in self.turns for each in turn], number)


def _percentile(values: Sequence[float], number: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[number - 1]


def _pooled_ratio(subject: Subject, before: Subject) -> float:
    return subject.percentile(99) / before.percentile(99)


def _ratio_of_turns(subject: Subject, before: Subject) -> float:
    pairs = zip(subject.turns, before.turns, strict=True)
    return statistics.median(_percentile(one, 99) / _percentile(other, 99) for one, other in pairs)


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    """Check a commit out beside the working tree, meanwhile."""
    with tempfile.TemporaryDirectory(prefix="cyborg-benchmark-") as folder:
        tree = Path(folder).resolve() / "before"
        try:
            _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
            yield tree
        finally:
            if tree.exists():
                _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(  # noqa: S603 -- our own arguments
        ["git", *arguments],  # noqa: S607 -- whichever git is installed
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotMeasure(done.stderr.strip())


def _measure_all(
    server: DatabaseServer, subjects: Sequence[Subject], arguments: argparse.Namespace
) -> None:
    """Measure the subjects in turns."""
    with server:
        for turn in range(1, arguments.turns + 1):
            for subject in subjects:
                subject.turns.append(_measure(server, subject, arguments))
                percentile = _percentile(subject.turns[-1], 99)
                _print(
                    f"{server.name:10}  turn {turn}  {subject.name:20}  p99 {percentile:7.1f} ms"
                )


def _measure(
    server: DatabaseServer, subject: Subject, arguments: argparse.Namespace
) -> list[float]:
    """Run a process with the subject's code; return the milliseconds of its claims."""
    url = server.create_database()
    sizes = [f"--threads={arguments.threads}", f"--claims={arguments.claims}"]
    try:
        done = subprocess.run(  # noqa: S603 -- our own arguments
            [sys.executable, str(WORKER), url, *sizes, *subject.options],
            env={**os.environ, "PYTHONPATH": str(subject.tree)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"{subject.name}: not done after {LIMIT} s") from None
    finally:
        server.drop_database(url)
    if done.returncode != 0:
        raise CannotMeasure(f"{subject.name}: the process has failed\n{done.stderr.strip()}")
    answer = json.loads(done.stdout)
    if answer["package"] != str(subject.tree / "cyborg"):
        raise CannotMeasure(f"{subject.name}: {answer['package']} was measured")
    milliseconds: list[float] = answer["milliseconds"]
    return milliseconds


def _print_table(results: dict[str, list[Subject]]) -> None:
    columns = ("p50 ms", "p95 ms", "p99 ms", "p99 ratio", "by turns")
    _print("")
    _print(f"{'':10}  {'':20}" + "".join(f"  {column:>9}" for column in columns))
    for database, subjects in results.items():
        for subject in subjects:
            line = f"{database:10}  {subject.name:20}"
            line += "".join(f"  {subject.percentile(number):9.1f}" for number in (50, 95, 99))
            if subject is not subjects[0]:
                line += f"  {_pooled_ratio(subject, subjects[0]):9.2f}"
                line += f"  {_ratio_of_turns(subject, subjects[0]):9.2f}"
            _print(line)


def _print(line: str) -> None:
    print(line, flush=True)


def _run(arguments: argparse.Namespace) -> int:
    results: dict[str, list[Subject]] = {}
    with _worktree(arguments.before) as tree:
        for kind in (MariaDB, PostgreSQL):
            results[kind.name] = [
                Subject(f"before: {arguments.before}", tree),
                Subject("after", ROOT),
                Subject("after, in two shapes", ROOT, ("--two-shapes",)),
            ]
            _measure_all(kind(), results[kind.name], arguments)
    _print_table(results)
    worst = max(_pooled_ratio(after, before) for before, after, _ in results.values())
    kept = worst <= BOUND
    _print(f"p99 within {BOUND} x of {arguments.before}'s: {'yes' if kept else 'NO'}")
    return int(not kept)


def _interrupt(number: int, _frame: object) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: the end does not take long
    raise KeyboardInterrupt(signal.Signals(number).name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", default="d17129c", metavar="COMMIT", help="the earlier commit")
    parser.add_argument("--turns", type=int, default=5, help="of each on each database")
    parser.add_argument("--threads", type=int, default=32, help="that claim at once")
    parser.add_argument("--claims", type=int, default=30, help="of each thread in a turn")
    return parser.parse_args()


def main() -> int:
    """Do what the command line says; return the exit status."""
    arguments = _arguments()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return _run(arguments)
    except (CannotMeasure, NotInstalledError, ServerError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"stopped by {error}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
