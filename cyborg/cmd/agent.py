"""cyborg-agent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from cyborg.agent.service import AgentService
from cyborg.agent.showing import LOOKING_FAILED, show
from cyborg.cmd import configuration, inventory_output, process
from cyborg.rpc.transport import get_transport

PROG = "cyborg-agent"

_OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "show-inventory",
        default=False,
        help="Print what the agent would report of this host, and what it leaves out and why; "
        "then end. Needs neither root nor another service, changes nothing, and may run beside "
        "the agent. Exit status: 0, 1 if a driver could not look, 2 for a wrong configuration.",
    ),
    cfg.StrOpt(
        "format",
        choices=("text", "json"),
        default="text",
        help="How --show-inventory prints.",
    ),
    cfg.StrOpt(
        "host-root",
        default="/",
        help="Directory that --show-inventory takes for the host's root.",
    ),
]


def serve(arguments: Sequence[str]) -> int:
    """Run an agent until it is told to stop, or print the inventory of its host."""
    wants_inventory = "--show-inventory" in arguments
    conf = configuration.read(
        PROG,
        arguments,
        prepare=lambda conf: conf.register_cli_opts(_OPTIONS),
        logs=not wants_inventory,
    )
    if not conf.show_inventory:
        return process.run(conf, [AgentService(conf, get_transport(conf))])
    shown = show(conf, Path(conf.host_root))
    sys.stdout.write(
        inventory_output.as_json(shown)
        if conf.format == "json"
        else inventory_output.as_text(shown)
    )
    return LOOKING_FAILED if shown.has_failed else 0


def main() -> None:
    """Entry point."""
    process.leave(configuration.main(PROG, serve))
