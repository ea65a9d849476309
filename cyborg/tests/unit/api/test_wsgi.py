"""The entry point for WSGI servers, imported as they do: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, os, sys
from cyborg.wsgi.api import application
import webob
connected = []
application._action = lambda: connected.append(os.getpid())
first = webob.Request.blank("/").get_response(application)
second = webob.Request.blank("/v2/devices").get_response(application)
here = list(connected)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    # Before any request: the fork itself.
    os.write(writer, json.dumps(connected[-1] == os.getpid()).encode())
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps({
    "statuses": [first.status_int, second.status_int],
    "here": here == [os.getpid()],
    "child": json.loads(os.read(reader, 100)),
    "eventlet": sys.modules.get("eventlet", "absent"),
}))
"""


def test_import_and_serve(tmp_path: Path) -> None:
    config = tmp_path / ".cyborg"
    config.mkdir()
    (config / "cyborg.conf").write_text(
        "[DEFAULT]\nauth_strategy = keystone\ntransport_url = kombu+memory://\n"
        "[keystone_authtoken]\nwww_authenticate_uri = http://keystone\nauth_type = none\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/db\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "statuses": [200, 401],
        "here": True,
        "child": True,
        "eventlet": None,
    }
