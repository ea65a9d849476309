"""Break the code on purpose, a promise at a time, and see that tests notice.

Each mutation (mutation.py says how one is written) is applied to a copy of the working tree, and
its tests run there. It is killed when a test fails. It has survived when all pass. Anything else
is an error: the patch does not apply, nothing is collected, a fixture breaks, the time is over.

The exit status is 0 if all are killed, 1 if not, and 2 if nothing could be tried.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NoReturn

from mutation import Mutation, Unusable, read_all
from trial import Processes, Result, Trials, Verdict, apply

ROOT = Path(__file__).resolve().parents[2]

#: Seconds for one run of pytest: less than one test has, whose timeout would count as a failure.
LIMIT = 200
#: Seconds for a long run of the model of hardware.
MODEL_LIMIT = 5400

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _try_all(mutations: Sequence[Mutation], arguments: argparse.Namespace) -> list[Result]:
    results = []
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="cyborg-mutations-") as folder:
        limit = MODEL_LIMIT if arguments.model else arguments.limit
        trials = Trials(arguments.root, Path(folder).resolve(), processes, limit, arguments.model)
        pool = ThreadPoolExecutor(arguments.jobs)
        try:
            if arguments.baseline and not arguments.model:
                trials.baseline(mutations, pool)
            for run in as_completed([pool.submit(trials.judge, each) for each in mutations]):
                result = run.result()
                results.append(result)
                _print(f"{result.verdict:8} {result.seconds:6.1f} s  {result.mutation.name}")
                if result.verdict is not Verdict.KILLED:
                    _print(f"{result.reason}\n{result.details}".rstrip())
        finally:
            processes.stop()
            pool.shutdown(cancel_futures=True)
    return results


def _check(mutations: Sequence[Mutation], root: Path) -> int:
    """See whether all apply, and name those that do not."""
    status = 0
    for mutation in mutations:
        try:
            apply(mutation, root, "--check")
        except Unusable as error:
            _print(str(error))
            status = 1
    return status


def _print_summary(results: Sequence[Result], seconds: float) -> None:
    _print("")
    width = max((len(result.mutation.name) for result in results), default=0)
    for result in sorted(results, key=lambda each: each.mutation.name):
        _print(f"{result.mutation.name:{width}}  {result.verdict:8}  {result.reason}")
    killed = sum(result.verdict is Verdict.KILLED for result in results)
    _print(f"{killed} of {len(results)} killed in {seconds:.0f} s")


def _print(line: str) -> None:
    print(line, flush=True)


def _interrupt(number: int, _frame: object) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: the end does not take long
    raise KeyboardInterrupt(signal.Signals(number).name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="these mutations, else all")
    parser.add_argument("--list", action="store_true", help="print names and promises")
    parser.add_argument("--check", action="store_true", help="only see whether they apply")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        help="do not run the tests on the unchanged tree first",
    )
    parser.add_argument(
        "--limit", type=float, default=LIMIT, metavar="SECONDS", help="for one run of pytest"
    )
    parser.add_argument(
        "--model",
        type=int,
        metavar="STEPS",
        help="let the model of hardware notice those that name its seed, in so many steps",
    )
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Do what the command line says; return the exit status."""
    arguments = _arguments()
    begun = time.monotonic()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        mutations = read_all(arguments.root / "tools" / "mutations", arguments.names)
        if arguments.list:
            for mutation in mutations:
                _print(f"{mutation.name}\n    {mutation.promise}")
            return 0
        if arguments.check:
            return _check(mutations, arguments.root)
        if arguments.model:
            mutations = [mutation for mutation in mutations if mutation.seed is not None]
        results = _try_all(mutations, arguments)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"stopped by {error}", file=sys.stderr)
        return 130
    _print_summary(results, time.monotonic() - begun)
    return int(any(result.verdict is not Verdict.KILLED for result in results))


if __name__ == "__main__":
    sys.exit(main())
