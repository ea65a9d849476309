"""Case E10: a machine boots while its servers have devices that had to be prepared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Api, Process, free_port, wait_for

#: The service, on a machine whose boot has the name that a file holds.
_MACHINE = """
import pathlib, sys
from cyborg.agent import identity, journal
journal._BOOT_ID = pathlib.Path(sys.argv.pop(1))
identity.boot_age.__code__ = (lambda: 0.0).__code__
from cyborg.cmd.standalone import main
main()
"""


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """The file that names the boot."""
    path = tmp_path / "boot_id"
    path.write_text(new_uuid())
    return path


@pytest.fixture
def service(tmp_path: Path, boot: Path) -> Iterator[Process]:
    port = free_port()
    arguments = [
        *("-c", _MACHINE, str(boot)),
        f"--data-dir={tmp_path / 'data'}",
        f"--clouds-file={tmp_path / 'clouds.yaml'}",
        f"--port={port}",
    ]
    process = Process("python", arguments, tmp_path / "out.log")
    api = Api(f"http://127.0.0.1:{port}")
    process.environment = {"API": api.url}
    process.start()
    wait_for("the service", lambda: api.status("GET", "/") == 200)
    process.end()
    config = tmp_path / "data" / "cyborg.conf"
    config.write_text(config.read_text() + "prepare_delay = 0.2\n")
    yield process
    if process.alive():
        process.end()


def test_what_servers_have_is_prepared_again(service: Process, boot: Path) -> None:
    api = Api(service.environment["API"])
    reported = service.text().count("inventory reported")
    service.start()
    wait_for("the service", lambda: api.status("GET", "/") == 200)
    api.profile("one")
    wait_for("its report", lambda: service.text().count("inventory reported") > reported)
    host = api.get("/v2/devices")["devices"][0]["hostname"]
    [part] = api.get("/v2/deployables")["deployables"]
    instance = new_uuid()

    def bind() -> bool:
        return api.bind(api.arqs("one"), instance, host, part["rp_uuid"]).status_code == 202

    def state() -> tuple[str, str | None]:
        [arq] = api.of_instance(instance)
        return arq["state"], arq["state_reason"]

    wait_for("a device that is prepared", bind)
    wait_for("the end of the bind", lambda: state() == ("Bound", None))
    service.end()
    started = service.text().count("work started")

    boot.write_text(new_uuid())
    service.start()
    wait_for("the work", lambda: service.text().count("work started") == started + 1)
    wait_for("its end", lambda: state() == ("Bound", None))
    assert "kind=restore" in service.text()
    service.end()

    # The same boot is none.
    reported = service.text().count("inventory reported")
    service.start()
    wait_for("its report", lambda: service.text().count("inventory reported") > reported)
    assert service.text().count("work started") == started + 1
