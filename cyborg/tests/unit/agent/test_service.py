"""The whole agent over in-process messaging, with a conductor that a test looks into."""

import logging
import os
import queue
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
from kombu.connection import Connection
from oslo_config import cfg
from oslo_messaging._metrics import client as metrics
from oslo_messaging._tracing import client as tracing
from stevedore.extension import ExtensionManager

from cyborg.agent import report
from cyborg.agent.identity import boot_age
from cyborg.agent.journal import read_boot_id
from cyborg.agent.service import AgentService
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import ConfigurationError
from cyborg.domain.inventory import Snapshot, digest_of
from cyborg.domain.model import DeviceCondition, JobKind
from cyborg.domain.report_check import check_report
from cyborg.domain.work import Handle, Prepare, Release, Work
from cyborg.drivers.loader import NAMESPACE, register_options
from cyborg.drivers.pci.driver import PciDriver
from cyborg.rpc.agent import AgentClient
from cyborg.rpc.server import Server
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.transport import AGENTS_DOOR, agent_door, get_client
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.hosts import build
from cyborg.tests.unit.agent.full_disk import full_from
from cyborg.tests.unit.agent.helpers import HOST, PATIENCE
from cyborg.tests.unit.drivers.helpers import make_conf, our_entry_points


class Conductor:
    """What of the conductor the agent calls."""

    def __init__(self) -> None:
        self.digest: str | None = None
        #: What an agent must do before it reports.
        self.first: list[Work] = []
        self.order: list[str] = []
        self.heartbeats: queue.Queue[tuple[str, str]] = queue.Queue()
        self.reports: queue.Queue[tuple[str, Snapshot]] = queue.Queue()
        self.begun: queue.Queue[tuple[str, str, int, int]] = queue.Queue()
        self.finished: queue.Queue[tuple[str, int, str | None]] = queue.Queue()
        #: Who said to be calling.
        self.agents: queue.Queue[Any] = queue.Queue()

    def resume(self, host: str, *, agent: object = None) -> list[Work]:
        self.agents.put(agent)
        self.order.append("resume")
        return self.first

    def heartbeat(self, host: str, digest: str, *, agent: object = None) -> bool:
        self.agents.put(agent)
        self.heartbeats.put((host, digest))
        return digest == self.digest

    def report(self, host: str, snapshot: Mapping[str, Any], *, agent: object = None) -> None:
        self.agents.put(agent)
        self.order.append("report")
        self.digest = digest_of(snapshot)
        self.reports.put((host, check_report(snapshot).snapshot))

    def begin_work(
        self, host: str, uuid: str, generation: int, step: int, *, agent: object = None
    ) -> bool:
        self.agents.put(agent)
        self.order.append("begin_work")
        self.begun.put((host, uuid, generation, step))
        return True

    def finish_job(
        self,
        host: str,
        uuid: str,
        generation: int,
        error: str | None,
        *,
        away: bool = False,
        not_begun: bool = False,
    ) -> None:
        assert host == HOST
        self.finished.put((uuid, generation, error))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ExtensionManager.ENTRY_POINT_CACHE, NAMESPACE, our_entry_points())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first report is always too early: the queue is reached in the background."""
    monkeypatch.setattr(report, "FIRST_DELAY", 0.005)


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    conf = make_conf(
        DEFAULT={"state_path": str(tmp_path), "periodic_interval": 3600},
        agent={"resource_provider_name": HOST},
    )
    # oslo.messaging registers these on the global options only, and reads them from any.
    conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    return conf


@pytest.fixture
def transport(conf: cfg.ConfigOpts) -> Iterator[Any]:
    oslo_messaging.set_transport_defaults("cyborg-test")
    # Queues in memory are the process's: a host of its own keeps this test's apart.
    host = uuid.uuid4().hex
    transport = oslo_messaging.get_rpc_transport(
        conf, url=f"kombu+memory://{host}/", allowed_remote_exmods=[]
    )
    # A real broker has this one from the beginning.
    connection: Any = Connection
    with connection(f"memory://{host}/") as opened:
        opened.channel().exchange_declare(AGENTS_DOOR.exchange, "topic")
    yield transport
    transport.cleanup()


@pytest.fixture
def conductor(transport: Any) -> Iterator[Conductor]:
    conductor = Conductor()
    table = {
        name: getattr(conductor, name)
        for name in ("resume", "heartbeat", "report", "begin_work", "finish_job")
    }
    server = Server(transport, AGENTS_DOOR, "conductor-1", TableEndpoint(table))
    server.start()
    yield conductor
    server.begin_stop()
    server.join(PATIENCE)


@pytest.fixture
def make(conf: cfg.ConfigOpts, transport: Any) -> Iterator[Callable[..., AgentService]]:
    made = []

    def make(**arguments: Any) -> AgentService:
        made.append(AgentService(conf, transport, **arguments))
        return made[-1]

    yield make
    for service in made:
        service.stop(PATIENCE)


def make_work(snapshot: Snapshot, kind: JobKind, generation: int = 1) -> Work:
    (device,) = snapshot.devices
    (part,) = device.deployables
    found = part.handles[0]
    handle = Handle(new_uuid(), device.identity, part.name, found.type, found.info)
    step = Prepare(handle, {"resources:FPGA": "1"}) if kind is JobKind.PREPARE else Release(handle)
    return Work(new_uuid(), generation, kind.value, device.driver, device.identity, (step,))


def test_what_its_servers_have_is_prepared_before_it_reports(
    conf: cfg.ConfigOpts, conductor: Conductor, make: Callable[..., AgentService]
) -> None:
    conf.set_override("prepare_delay", 0.3, "fake_driver")
    handles = [
        Handle(new_uuid(), device, f"{HOST}_FakeDevice", "TEST_PCI", {})
        for device in ("fake-0", "fake-9")
    ]
    works = [
        Work(new_uuid(), 3, "restore", "fake_driver", handle.device, (Prepare(handle, {}),))
        for handle in handles
    ]
    conductor.first = works
    make(standalone=True).start()
    ends = dict(conductor.finished.get(timeout=PATIENCE)[::2] for _ in works)
    assert ends[works[0].job_uuid] is None
    # One that cannot be prepared holds up nobody for ever.
    assert ends[works[1].job_uuid] is not None
    assert conductor.reports.get(timeout=PATIENCE)[0] == HOST
    assert conductor.order[:3] == ["resume", "begin_work", "begin_work"]
    assert conductor.order.index("report") > 2


def test_report_work_and_end(
    conf: cfg.ConfigOpts,
    transport: Any,
    conductor: Conductor,
    make: Callable[..., AgentService],
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = make(standalone=True)
    service.start()
    host, snapshot = conductor.reports.get(timeout=PATIENCE)
    assert host == HOST
    assert conductor.heartbeats.get(timeout=PATIENCE) == (HOST, snapshot.digest())
    assert snapshot.devices[0].deployables[0].name == f"{HOST}_FakeDevice"

    work = make_work(snapshot, JobKind.PREPARE, generation=7)
    AgentClient(transport).start(HOST, work)
    assert conductor.finished.get(timeout=PATIENCE) == (work.job_uuid, 7, None)
    assert conductor.begun.get_nowait() == (HOST, work.job_uuid, 7, 0)
    resuming, reporting, again, asking = (conductor.agents.get_nowait() for _ in range(4))
    assert reporting == again
    assert resuming["boot_id"] == reporting["boot_id"]
    assert (reporting["boot_id"], reporting["interval"]) == (read_boot_id(), 3600)
    assert 0 < reporting["boot_age"] <= boot_age()
    assert asking["boot_id"] == read_boot_id()
    assert (Path(conf.state_path) / "agent" / "journal" / f"{work.job_uuid}.json").exists()

    conf.set_override("release_failures", -1, "fake_driver")
    service.reload()
    _, changed = conductor.reports.get(timeout=PATIENCE)
    assert changed.devices[0].deployables[0].needs_release
    work = make_work(changed, JobKind.RELEASE)
    AgentClient(transport).start(HOST, work)
    finished, _, error = conductor.finished.get(timeout=PATIENCE)
    assert finished == work.job_uuid
    assert error is not None
    assert "release_failures" in error

    client = get_client(transport, agent_door(HOST)).prepare(timeout=PATIENCE)
    assert client.call({}, "ping") == {"v": 1, "result": "pong"}
    assert "devices which do not exist" not in caplog.text


def test_a_restart_reports_nothing_new(
    conf: cfg.ConfigOpts,
    conductor: Conductor,
    make: Callable[..., AgentService],
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = Path(conf.state_path) / "agent" / "journal" / f"{new_uuid()}.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    os.utime(old, (0, 0))
    for _ in range(2):
        service = make(standalone=False)
        service.start()
        conductor.heartbeats.get(timeout=PATIENCE)
        service.stop(PATIENCE)
    assert conductor.reports.qsize() == 1
    assert not old.exists()
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all("devices which do not exist" in error for error in errors)


@pytest.fixture
def machine(conf: cfg.ConfigOpts, tmp_path: Path) -> Machine:
    """A host with a card that an operator allows."""
    build("pci-groups", tmp_path / "root")
    register_options(conf, PciDriver)
    conf.set_override("enabled_drivers", ["pci_driver"], "agent")
    conf.set_override("passthrough_whitelist", ['{"address": "0000:21:00.0"}'], "pci")
    return Machine(tmp_path / "root", tmp_path / "agent", conf)


def test_a_card_is_reset_before_its_end_is_told(
    transport: Any, conductor: Conductor, make: Callable[..., AgentService], machine: Machine
) -> None:
    make(host=machine.host, verbs=machine.verbs).start()
    _, snapshot = conductor.reports.get(timeout=PATIENCE)
    for kind, resets in ((JobKind.PREPARE, 0), (JobKind.RELEASE, 1)):
        work = make_work(snapshot, kind)
        AgentClient(transport).start(HOST, work)
        assert conductor.finished.get(timeout=PATIENCE) == (work.job_uuid, 1, None)
        assert machine.kernel.resets["0000:21:00.0"] == resets


def test_a_card_that_somebody_has_is_not_reset(
    transport: Any, conductor: Conductor, make: Callable[..., AgentService], machine: Machine
) -> None:
    machine.conf.set_override("release_patience", 0, "pci")
    make(host=machine.host, verbs=machine.verbs).start()
    _, snapshot = conductor.reports.get(timeout=PATIENCE)
    machine.verbs.bind_driver("0000:21:00.0", "vfio-pci")
    machine.kernel.busy.add("0000:21:00.0")
    AgentClient(transport).start(HOST, make_work(snapshot, JobKind.RELEASE))
    _, _, error = conductor.finished.get(timeout=PATIENCE)
    assert error == "0000:21:00.0 is not free: somebody has it"
    assert machine.kernel.resets == {}


def test_options_that_a_driver_refuses_keep_it_from_starting(
    make: Callable[..., AgentService], machine: Machine
) -> None:
    machine.conf.set_override("passthrough_whitelist", ["{}", "["], "pci")
    with pytest.raises(ConfigurationError, match="passthrough_whitelist, entry 2: no JSON"):
        make(host=machine.host, verbs=machine.verbs).start()


def test_changed_options_that_a_driver_refuses_leave_the_old(
    conductor: Conductor,
    make: Callable[..., AgentService],
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = make(host=machine.host, verbs=machine.verbs)
    service.start()
    conductor.reports.get(timeout=PATIENCE)
    first = conductor.heartbeats.get(timeout=PATIENCE)
    machine.conf.set_override("passthrough_whitelist", ["["], "pci")
    service.reload()
    while (again := conductor.heartbeats.get(timeout=PATIENCE)) == first:
        if any("changed options are not used" in each for each in caplog.messages):
            break
    assert again == first
    (error,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "driver=pci_driver: [pci] passthrough_whitelist, entry 1: no JSON" in error.message


def test_a_driver_with_a_bug_does_not_stop_a_reload(
    conductor: Conductor,
    make: Callable[..., AgentService],
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = make(host=machine.host, verbs=machine.verbs)
    service.start()
    conductor.reports.get(timeout=PATIENCE)

    def fail(driver: PciDriver) -> None:
        raise KeyError("an option")

    monkeypatch.setattr(PciDriver, "configure", fail)
    service.reload()
    assert "pci_driver cannot be loaded: KeyError: 'an option'" in caplog.text


def test_an_unknown_driver_keeps_it_from_starting(
    conf: cfg.ConfigOpts, make: Callable[..., AgentService]
) -> None:
    conf.set_override("enabled_drivers", ["no_driver"], "agent")
    service = make()
    with pytest.raises(ConfigurationError, match="known: fake_driver"):
        service.start()
    service.stop(0)


def test_a_state_that_cannot_be_written_keeps_it_from_starting(
    conf: cfg.ConfigOpts, make: Callable[..., AgentService]
) -> None:
    """Field case K14. /proc refuses root too."""
    conf.set_override("state_path", "/proc/cyborg")
    service = make()
    with pytest.raises(ConfigurationError, match=r"^The agent's state cannot be written: /proc/"):
        service.start()
    service.stop(0)


def test_a_disk_that_fills_while_it_runs(
    conductor: Conductor, make: Callable[..., AgentService]
) -> None:
    """Nothing is offered as long as that lasts."""
    service = make(standalone=True)
    service.start()
    _, before = conductor.reports.get(timeout=PATIENCE)
    with full_from():
        service.reload()
        _, full = conductor.reports.get(timeout=PATIENCE)
        [found] = full.devices
        assert found.condition is DeviceCondition.FAILED
        assert "agent/journal: No space left on device." in str(found.condition_reason)
    service.reload()
    _, after = conductor.reports.get(timeout=PATIENCE)
    assert after.digest() == before.digest()


def test_a_card_that_hangs_is_reported_at_once_and_when_it_does_no_more(
    conf: cfg.ConfigOpts,
    monkeypatch: pytest.MonkeyPatch,
    transport: Any,
    conductor: Conductor,
    make: Callable[..., AgentService],
) -> None:
    conf.set_override("prepare_hangs", [0], "fake_driver")
    conf.set_override("devices", 2, "fake_driver")
    monkeypatch.setattr("cyborg.agent.service.call_limit", lambda _conf, _name: 0.0)
    service = make(standalone=True)
    service.start()
    _, before = conductor.reports.get(timeout=PATIENCE)
    work = make_work(Snapshot(before.devices[:1]), JobKind.PREPARE)
    AgentClient(transport).start(HOST, work)
    _, hung = conductor.reports.get(timeout=PATIENCE)
    assert [each.condition for each in hung.devices] == [
        DeviceCondition.FAILED,
        DeviceCondition.HEALTHY,
    ]
    _, _, error = conductor.finished.get(timeout=PATIENCE)
    assert hung.devices[0].condition_reason == error
    conf.set_override("prepare_hangs", [1], "fake_driver")
    _, after = conductor.reports.get(timeout=PATIENCE)
    assert after.digest() == before.digest()


class BlockedServer:
    """An RPC server as it is while RabbitMQ is not there: its start does not return."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.steps: queue.Queue[str] = queue.Queue()

    def start(self) -> None:
        assert self.there.wait(PATIENCE)
        self.steps.put("started")

    def stop(self) -> None:
        self.steps.put("stopped")

    def wait(self) -> None:
        self.steps.put("ended")


def test_start_and_stop_while_the_queue_is_not_there(
    make: Callable[..., AgentService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither call waits for it; a start that comes through late is undone."""
    server = BlockedServer()
    monkeypatch.setattr("cyborg.rpc.server.get_server", lambda *_arguments: server)
    service = make()
    service.start()
    service.stop(0.05)
    assert server.steps.empty()
    server.there.set()
    assert [server.steps.get(timeout=PATIENCE) for _ in range(3)] == ["started", "stopped", "ended"]
