"""cyborg-agent."""

from __future__ import annotations

from collections.abc import Sequence

from cyborg.agent.service import AgentService
from cyborg.cmd import configuration, process
from cyborg.rpc.transport import get_transport

PROG = "cyborg-agent"


def serve(arguments: Sequence[str]) -> int:
    """Run an agent until it is told to stop."""
    conf = configuration.read(PROG, arguments)
    return process.run(conf, [AgentService(conf, get_transport(conf))])


def main() -> None:
    """Entry point."""
    process.leave(configuration.main(PROG, serve))
