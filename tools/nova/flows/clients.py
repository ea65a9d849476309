"""The command lines that people have, and the WSGI server that operators use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import NEW, OLD, expect_refused, shown
from waiting import eventually, expect

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench

CLIENTS = {"openstackclient's own commands": NEW, "python-cyborgclient": OLD}


def clients(bench: Bench) -> None:
    """Both clients list and show devices and ARQs, to everybody what is theirs."""
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    with bench.check("to a member of another project there is no such ARQ: 404"):
        path = f"/accelerator_requests/{arq['uuid']}"
        status = bench.cloud.other.accelerator.get(path, raise_exc=False).status_code
        expect(status == 404, f"the answer is {status}")
    for what, client in CLIENTS.items():
        _try_client(bench, what, client, arq)


def _try_client(bench: Bench, what: str, client: str, arq: dict[str, Any]) -> None:
    def listed(cloud: str, *command: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = shown(cloud, "accelerator", *command, "list", client=client)
        return rows

    uuid = arq["uuid"]
    with bench.check(f"{what}: device list"):
        hosts = {row["hostname"] for row in listed("admin", "device")}
        expect(hosts == set(bench.hosts), f"devices of {hosts}")
    with bench.check(f"{what}: deployable list"):
        names = {row["name"] for row in listed("admin", "deployable")}
        wanted = {deployable.name for deployable in bench.hardware.deployables()}
        expect(names == wanted, f"deployables {names}")
    for cloud, seen in {"admin": [uuid], "demo": [uuid], "other": []}.items():
        with bench.check(f"{what}: arq list as {cloud}"):
            found = [row["uuid"] for row in listed(cloud, "arq")]
            expect(found == seen, f"it lists {found}")
    for cloud in ("admin", "demo"):
        with bench.check(f"{what}: arq show as {cloud}"):
            row = shown(cloud, "accelerator", "arq", "show", uuid, client=client)
            expect((row["uuid"], row["state"]) == (uuid, "Bound"), f"it shows {row}")
            expect(row["instance_uuid"] == arq["instance_uuid"], f"it shows {row}")
    with bench.check(f"{what}: arq show as other: there is none"):
        said = expect_refused("other", "accelerator", "arq", "show", uuid, client=client)
        told = any(word in said.lower() for word in ("404", "not found", "no acceleratorrequest"))
        expect(told, f"it says: {said.strip()[-300:]}")


def uwsgi(bench: Bench) -> None:
    """The API under uwsgi instead of its own server: servers boot and go."""
    bench.service.end("api")
    bench.service.launch("api", uwsgi=True)
    try:
        with bench.need("it answers"):
            bench.service.wait_for_api()
        with bench.check("two servers boot"):
            servers = bench.booted(bench.flavor(), 2)
            for server in servers:
                bench.holds(server)
        with bench.check("they are deleted: nothing is left"):
            bench.delete(servers)
            eventually(bench.expect_nothing_left)
    finally:
        bench.service.end("api")
        bench.service.launch("api")
        bench.service.wait_for_api()


FLOWS = (Flow("clients", clients), Flow("uwsgi", uwsgi))
