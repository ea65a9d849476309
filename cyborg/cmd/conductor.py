"""cyborg-conductor."""

from __future__ import annotations

from collections.abc import Sequence

from cyborg.cmd import configuration, process
from cyborg.conductor.service import ConductorService
from cyborg.rpc.transport import get_transport

PROG = "cyborg-conductor"


def serve(arguments: Sequence[str]) -> int:
    """Run a conductor until it is told to stop."""
    conf = configuration.read(PROG, arguments, needs_database=True)
    return process.run(conf, [ConductorService(conf, get_transport(conf))])


def main() -> None:
    """Entry point."""
    process.leave(configuration.main(PROG, serve))
