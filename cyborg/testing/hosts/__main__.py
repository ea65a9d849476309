"""``python -m cyborg.testing.hosts``: make a host by hand, or let something happen to one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cyborg.testing.hosts import build, happen, scenarios
from cyborg.testing.hosts.events import EVENTS


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for name, description in scenarios().items():
            print(f"{name:<22} {description}")
        return 0
    if options.root is None or not (options.all or options.scenario or options.event):
        parser.error("--list, or --root with --scenario, --all or --event")
    try:
        _make(options)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cyborg.testing.hosts",
        description="Make the files of fake hosts.",
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="say which hosts there are")
    what.add_argument("--scenario", choices=scenarios(), metavar="NAME", help="make one host")
    what.add_argument("--all", action="store_true", help="make each, in a directory of its name")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where")
    parser.add_argument(
        "--event",
        action="append",
        default=[],
        metavar="EVENT:ADDRESS",
        help=f"let something happen to a function, once it is there: {', '.join(EVENTS)}",
    )
    return parser


def _make(options: argparse.Namespace) -> None:
    if options.all:
        for name in scenarios():
            build(name, options.root / name)
            print(options.root / name)
    elif options.scenario:
        build(options.scenario, options.root)
    for each in options.event:
        event, _, address = each.partition(":")
        happen(options.root, event, address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
