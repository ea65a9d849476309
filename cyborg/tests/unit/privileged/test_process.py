"""The privileged process itself, started by oslo.privsep with this test's privileges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

#: What a privileged agent does, in a process of its own: oslo.privsep has one context a process.
SCRIPT = """
import sys
from cyborg import no_eventlet
from oslo_config import cfg
from oslo_log import log
log.register_options(cfg.CONF)
cfg.CONF(["--config-file", sys.argv[1]], project="cyborg")
log.setup(cfg.CONF, "cyborg")
from cyborg.domain.errors import CyborgError
from cyborg.privileged.client import PrivilegedVerbs
verbs = PrivilegedVerbs()
said = {}
for name, verb in {
    "start": lambda: verbs.start(),
    "holders": lambda: verbs.holders("ffff:ff:1f.7"),
    "reset": lambda: verbs.reset("/sys/x"),
    "bind_driver": lambda: verbs.bind_driver("ffff:ff:1f.7", "evil"),
}.items():
    try:
        said[name] = str(verb())
    except CyborgError as error:
        said[name] = f"{type(error).__name__}: {error}"
import json
print(json.dumps(said))
"""

#: In the place of sudo: what it would run, with the privileges that the test has.
HELPER = f"""#!{sys.executable}
import sys
from cyborg import no_eventlet
from oslo_privsep.daemon import helper_main
sys.exit(helper_main())
"""


def run(directory: Path, helper: str) -> tuple[Mapping[str, str], str]:
    config = directory / "cyborg.conf"
    config.write_text(
        "[pci]\n"
        'passthrough_whitelist = {"vendor_id": "*"}\n'
        "[cyborg_sys_admin]\n"
        # What the test has need not be more.
        "capabilities =\n"
        f"helper_command = {helper} --config-file {config}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_it_does_what_it_is_asked_and_looks_first(tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    said, _ = run(tmp_path, str(helper))
    assert said["start"] == "None"
    # Whether the test's machine shows PCI functions or not.
    assert said["holders"].startswith("DriverError: ffff:ff:1f.7 ")
    assert said["reset"] == "DriverError: '/sys/x' is no address"
    assert said["bind_driver"] == "DriverError: 'evil' is no driver that a function is given to"


@pytest.mark.parametrize("helper", ["/bin/false", "/nonexistent/helper"])
def test_one_that_cannot_be_started(tmp_path: Path, helper: str) -> None:
    said, _ = run(tmp_path, helper)
    for answer in said.values():
        assert answer.startswith("DriverError: the privileged process cannot be asked: ")
