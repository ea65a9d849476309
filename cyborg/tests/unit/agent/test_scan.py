import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from cyborg.agent.scan import MOST_DEVICES, Scanner
from cyborg.domain.errors import ReportRefused
from cyborg.domain.handle_types import HANDLE_TYPES
from cyborg.domain.inventory import DeviceReport, Snapshot, snapshot_from_wire
from cyborg.drivers.contract import Discovery, DriverError, Problem
from cyborg.tests.unit.agent.helpers import PATIENCE, OtherDriver, ScriptedDriver, make_device
from cyborg.tests.unit.drivers.helpers import shuffled

OTHER = make_device("other", "other_driver")


def finds(*devices: DeviceReport, problems: tuple[Problem, ...] = ()) -> Callable[[], Discovery]:
    return lambda: Discovery(devices, problems)


def other() -> OtherDriver:
    return OtherDriver(finds(OTHER))


def scan_beside_other(find: Callable[[], object]) -> Snapshot:
    """Scan with a driver that misbehaves and one that does not."""
    snapshot = Scanner([ScriptedDriver(find), other()]).scan(PATIENCE)
    assert OTHER in snapshot.devices
    assert "other_driver" not in snapshot.failed_drivers
    snapshot_from_wire(snapshot.to_wire())
    return snapshot


def raises(error: BaseException) -> Callable[[], object]:
    def find() -> object:
        raise error

    return find


def test_all_is_well() -> None:
    snapshot = scan_beside_other(finds(make_device("a"), make_device("b")))
    assert {device.identity for device in snapshot.devices} == {"a", "b", "other"}
    assert snapshot.failed_drivers == ()


def test_no_drivers() -> None:
    assert Scanner([]).scan(PATIENCE) == Snapshot()


@pytest.mark.parametrize(
    "find",
    [
        raises(DriverError("no bus")),
        raises(OSError(5, "Input/output error")),
        raises(RecursionError()),
        raises(SystemExit(1)),
        lambda: None,
        lambda: [make_device()],
        lambda: {"devices": []},
        lambda: Discovery(devices=5),  # type: ignore[arg-type]  # garbage
        lambda: Discovery(devices=(make_device(),), problems=("text",)),  # type: ignore[arg-type]  # garbage
    ],
)
def test_a_driver_that_fails_as_a_whole(find: Callable[[], object]) -> None:
    snapshot = scan_beside_other(find)
    assert snapshot == Snapshot((OTHER,), ("test_driver",))


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "card",
        dataclasses.replace(make_device("bad"), type="toaster"),
        dataclasses.replace(make_device("bad"), identity=""),
        dataclasses.replace(make_device("bad"), identity=None),  # type: ignore[arg-type]  # garbage
        dataclasses.replace(make_device("bad"), vendor=b"10de"),  # type: ignore[arg-type]  # garbage
        dataclasses.replace(make_device("bad"), std_board_info={"a": 1}),  # type: ignore[dict-item]  # garbage
        dataclasses.replace(make_device("bad"), deployables=(None,)),  # type: ignore[arg-type]  # garbage
        dataclasses.replace(make_device("bad"), driver="other_driver"),
        dataclasses.replace(make_device("bad"), deployables=make_device().deployables * 2),
    ],
)
def test_a_bad_device_does_not_hide_the_good(bad: DeviceReport) -> None:
    good = make_device("good")
    snapshot = scan_beside_other(finds(bad, good))
    assert snapshot == Snapshot((good, OTHER), ("test_driver",))


def test_problems_are_reported_beside_devices() -> None:
    """A device that is absent because of a problem must not be taken for removed."""
    good = make_device("good")
    snapshot = scan_beside_other(finds(good, problems=(Problem("0000:0c:00.0", "EIO"),)))
    assert snapshot == Snapshot((good, OTHER), ("test_driver",))


@pytest.mark.parametrize(
    "twin", [make_device("a", name="another"), make_device("b", name="host_a"), make_device("a")]
)
def test_collisions_within_a_driver(twin: DeviceReport) -> None:
    devices = (make_device("a"), twin, make_device("c"))
    digests = set()
    for seed in range(8):
        snapshot = scan_beside_other(finds(*shuffled(devices, seed)))
        assert snapshot.failed_drivers == ("test_driver",)
        assert len(snapshot.devices) == 3
        digests.add(snapshot.digest())
    assert len(digests) == 1


def test_collisions_between_drivers_are_the_later_ones_fault() -> None:
    thief = ScriptedDriver(
        finds(make_device("other", name="x"), make_device("y", name="host_other"))
    )
    honest = make_device("z")
    thief.find = finds(*thief.discover().devices, honest)
    snapshot = Scanner([other(), thief]).scan(PATIENCE)
    assert snapshot == Snapshot((OTHER, honest), ("test_driver",))


def test_too_many_devices() -> None:
    crowd = [make_device(f"card-{number}") for number in range(MOST_DEVICES + 1)]
    assert scan_beside_other(finds(*crowd[:2])).failed_drivers == ()
    assert scan_beside_other(finds(*crowd)) == Snapshot((OTHER,), ("test_driver",))


def test_most_devices_is_what_the_conductor_takes() -> None:
    wire = Snapshot((make_device(),)).to_wire()
    crowd = [make_device(f"card-{number}") for number in range(MOST_DEVICES)]
    snapshot_from_wire(Snapshot(tuple(crowd)).to_wire())
    wire["devices"] *= MOST_DEVICES + 1
    with pytest.raises(ReportRefused, match=r"at \$.devices:"):
        snapshot_from_wire(wire)


class Hanging:
    """A discovery that returns when it is told to; counts how often it began."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.count = 0
        self.gate = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> Discovery:
        self.thread = threading.current_thread()
        self.count += 1
        self.begun.release()
        assert self.gate.wait(PATIENCE)
        return Discovery((make_device("late"),))

    def let_go(self) -> None:
        assert self.thread is not None
        self.gate.set()
        self.thread.join(PATIENCE)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    hanging = Hanging()
    yield hanging
    hanging.gate.set()


def test_a_hanging_driver_is_left_alone(hanging: Hanging) -> None:
    scanner = Scanner([ScriptedDriver(hanging), other()])
    first = scanner.scan(0.05)
    assert first.failed_drivers == ("test_driver",)
    assert hanging.begun.acquire(timeout=PATIENCE)
    # Nothing to wait for any more, so a long timeout costs no time.
    second = scanner.scan(PATIENCE)
    assert second == Snapshot((OTHER,), ("test_driver",))
    assert hanging.count == 1


def test_a_driver_that_hung_is_called_again(hanging: Hanging) -> None:
    scanner = Scanner([ScriptedDriver(hanging), other()])
    scanner.scan(0.05)
    assert hanging.begun.acquire(timeout=PATIENCE)
    hanging.let_go()
    snapshot = scanner.scan(PATIENCE)
    assert hanging.count == 2
    assert snapshot == Snapshot((make_device("late"), OTHER), ())


def test_drivers_run_beside_each_other() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    def meet() -> Discovery:
        together.wait()
        return Discovery()

    snapshot = Scanner([ScriptedDriver(meet), OtherDriver(meet)]).scan(PATIENCE)
    assert snapshot.failed_drivers == ()


def test_problems_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cyborg.agent.scan")
    driver = ScriptedDriver(raises(DriverError("no bus")))
    scanner = Scanner([driver])
    scanner.scan(PATIENCE)
    scanner.scan(PATIENCE)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "driver=test_driver reason=no bus" in caplog.text
    assert "Traceback" not in caplog.text
    driver.find = finds()
    scanner.scan(PATIENCE)
    scanner.scan(PATIENCE)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_bugs_are_logged_with_a_traceback_once(caplog: pytest.LogCaptureFixture) -> None:
    scanner = Scanner([ScriptedDriver(raises(KeyError("bug")))])
    scanner.scan(PATIENCE)
    scanner.scan(PATIENCE)
    assert caplog.text.count("Traceback") == 1


def test_a_type_that_nova_does_not_know_is_reported_and_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    devices = (make_device("a", handles=("USB", "PCI")), make_device("b", handles=("USB",)))
    driver = ScriptedDriver(finds(*devices))
    scanner = Scanner([driver, other()])
    for _ in range(2):
        assert scanner.scan(PATIENCE) == Snapshot((*devices, OTHER))
    assert [record.message for record in caplog.records] == [
        "handles of a type that Nova does not know driver=test_driver type=USB"
    ]
    driver.find = finds(make_device("a", handles=tuple(HANDLE_TYPES)), make_device("c"))
    scanner.scan(PATIENCE)
    driver.find = finds(make_device("a", handles=("USB", "TAPE")))
    scanner.scan(PATIENCE)
    assert len(caplog.records) == 2
    assert "type=TAPE" in caplog.text


def test_nothing_is_shared_with_the_driver() -> None:
    facts = {"a": "b"}
    device = dataclasses.replace(make_device(), std_board_info=facts)
    snapshot = Scanner([ScriptedDriver(finds(device))]).scan(PATIENCE)
    digest = snapshot.digest()
    facts["a"] = "c"
    assert snapshot.digest() == digest
