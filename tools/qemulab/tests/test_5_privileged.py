"""The privileged process, which has its few capabilities and is not root, can do all that it is
there for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from agents_parts import EVERYTHING
from real_host import SYSTEM_DRIVE, Guest, driver_of, rebind
from resets import Resets

#: What an agent does, in a process of its own: oslo.privsep has one context a process.
_SCRIPT = """
import json, sys
from cyborg import no_eventlet
from oslo_config import cfg
from oslo_log import log
log.register_options(cfg.CONF)
cfg.CONF(["--config-file", sys.argv[1]], project="cyborg")
log.setup(cfg.CONF, "cyborg")
from cyborg.domain.errors import CyborgError
from cyborg.privileged.client import PrivilegedVerbs
verbs = PrivilegedVerbs()
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        said = str(getattr(verbs, name)(*arguments))
    except CyborgError as error:
        said = f"refused: {error}"
    print(json.dumps(said), flush=True)
"""

_HELPER = f"""#!{sys.executable}
import sys
from cyborg import no_eventlet
from oslo_privsep.daemon import helper_main
sys.exit(helper_main())
"""


class Agent:
    """A process that asks its privileged one."""

    def __init__(self, directory: Path) -> None:
        helper = directory / "helper"
        helper.write_text(_HELPER)
        helper.chmod(0o755)
        config = directory / "cyborg.conf"
        config.write_text(
            "[pci]\n"
            f"passthrough_whitelist = {json.dumps(list(EVERYTHING))}\n"
            "[cyborg_sys_admin]\n"
            "user = nobody\n"
            f"helper_command = {helper} --config-file {config}\n"
        )
        config.chmod(0o644)
        self.process = subprocess.Popen(  # noqa: S603 - this very Python
            [sys.executable, "-c", _SCRIPT, str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    def ask(self, *verb: str) -> str:
        """Return what a verb says."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(verb) + "\n")
        self.process.stdin.flush()
        # Between its log's lines.
        line = next(line for line in self.process.stdout if line.startswith('"'))
        said: str = json.loads(line)
        return said

    def end(self) -> None:
        """End it."""
        self.process.communicate(timeout=60)


def test_all_verbs(tmp_path: Path, virtual_function: str, resets: Resets) -> None:
    agent = Agent(tmp_path)
    assert agent.ask("start") == "None"
    assert agent.ask("bind_driver", virtual_function, "vfio-pci") == "None"
    assert driver_of(virtual_function) == "vfio-pci"
    begun = time.monotonic()
    assert agent.ask("reset", virtual_function) == "None"
    assert len(resets.of(virtual_function, begun)) == 1
    assert agent.ask("holders", virtual_function) == "nobody has it"
    with Guest(virtual_function) as guest:
        assert f"(process {guest.pid})" in agent.ask("holders", virtual_function)
        assert "somebody has it" in agent.ask("reset", virtual_function)
    assert agent.ask("bind_driver", virtual_function, "") == "None"
    assert driver_of(virtual_function) == "igbvf"
    rebind(virtual_function, "igbvf")
    said = agent.ask("reset", SYSTEM_DRIVE)
    assert said.startswith(f"refused: {SYSTEM_DRIVE} is not touched: ")
    agent.end()
