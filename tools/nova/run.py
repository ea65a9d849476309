"""Tries our service under a real Nova: ``run.py --help``."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence

import bootstrap
from commands import ignore_interrupts, interruptible
from flows import FLOWS, Flow
from report import NUMBERS, START, read_numbers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="test_nova.sh",
        description="Try the service of this checkout under a real Nova. One line a check; exit "
        "status 0 if all passed, 1 if not, 2 if there is no stack, 130 if interrupted.",
        epilog="The variable MINISTACK names the directory of the stack's scripts.",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="flows with such a name only; may be repeated or have commas",
    )
    parser.add_argument("--list", action="store_true", help="list the flows, and do nothing")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the folder of logs and the stack running, whatever comes of it",
    )
    parser.add_argument("--uwsgi", action="store_true", help="serve the API under uwsgi")
    return parser.parse_args()


def _selected(patterns: Sequence[str]) -> list[Flow]:
    wanted = [part for pattern in patterns for part in pattern.split(",") if part]
    if not wanted:
        return list(FLOWS)
    return [flow for flow in FLOWS if any(fnmatch.fnmatch(flow.name, part) for part in wanted)]


def main() -> int:
    """Run the flows that are asked for."""
    arguments = _arguments()
    flows = _selected(arguments.only)
    if arguments.list:
        for flow in flows:
            print(f"{flow.name:<20} {flow.summary}")
        return 0
    if not flows:
        print(f"no flow is called {' or '.join(arguments.only)}: see --list", file=sys.stderr)
        return 2
    lost = set(read_numbers(NUMBERS)) - {START, *(flow.name for flow in FLOWS)}
    if lost:
        print(f"{NUMBERS.name} names flows that are gone: {', '.join(lost)}", file=sys.stderr)
        return 1
    bootstrap.enter(__file__)
    # Not before: only the stack's Python has what it needs.
    from session import Session  # noqa: PLC0415 -- as said

    interruptible()
    good = False
    session = Session(flows, keep=arguments.keep, uwsgi=arguments.uwsgi)
    try:
        good = session.go()
    except KeyboardInterrupt:
        print("\ninterrupted: cleaning up", flush=True)
        return 130
    finally:
        ignore_interrupts()
        session.leave(good)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
