import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from cyborg.agent.scan import Scanner
from cyborg.domain.handle_types import HANDLE_TYPES
from cyborg.domain.inventory import DeviceReport, Snapshot, UnseenDevice
from cyborg.domain.report_check import check_report
from cyborg.drivers.contract import (
    DeviceCondition,
    Discovery,
    DriverError,
    HandleReport,
    NotOffered,
    Problem,
)
from cyborg.tests.unit.agent.helpers import (
    PATIENCE,
    OtherDriver,
    ScriptedDriver,
    make_device,
    make_info,
)
from cyborg.tests.unit.drivers.helpers import shuffled

OTHER = make_device("other", "other_driver")


def finds(
    *devices: DeviceReport,
    problems: tuple[Problem, ...] = (),
    not_offered: tuple[NotOffered, ...] = (),
) -> Callable[[], Discovery]:
    return lambda: Discovery(devices, problems, not_offered)


def other() -> OtherDriver:
    return OtherDriver(finds(OTHER))


def scan_beside_other(find: Callable[[], object]) -> Snapshot:
    """Scan with a driver that misbehaves and one that does not."""
    snapshot = Scanner([ScriptedDriver(find), other()]).scan(PATIENCE)
    assert OTHER in snapshot.devices
    assert "other_driver" not in snapshot.failed_drivers
    accepted(snapshot)
    return snapshot


def accepted(snapshot: Snapshot) -> None:
    """Assert that the conductor takes a report as it is."""
    checked = check_report(snapshot.to_wire())
    assert checked.left_out == ()
    assert checked.snapshot.digest() == snapshot.digest()


def unseen(*identities: str, driver: str = "test_driver") -> tuple[UnseenDevice, ...]:
    return tuple(UnseenDevice(driver, identity) for identity in identities)


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


def bad(**changes: object) -> DeviceReport:
    return dataclasses.replace(make_device("bad"), **changes)  # type: ignore[arg-type]  # garbage


def bad_handle(kind: str = "PCI", key: str = "", **info: str) -> DeviceReport:
    """Return a device with a good handle and this one."""
    (part,) = make_device("bad").deployables
    handle = HandleReport(kind, {**make_info("bad", 1), **info}, key)
    handles = (*part.handles, handle)
    return bad(deployables=(dataclasses.replace(part, handles=handles, num_accelerators=2),))


@pytest.mark.parametrize(
    "device",
    [
        bad(type="toaster"),
        bad(vendor=b"10de"),
        bad(std_board_info={"a": 1}),
        bad(std_board_info={str(n): "\U0001f600" * 255 for n in range(64)}),
        bad(deployables=(None,)),
        bad(driver="other_driver"),
        bad(condition=5),
        bad(
            deployables=(
                dataclasses.replace(make_device("bad").deployables[0], num_accelerators=2),
            )
        ),
        bad_handle(bus="0x0c"),
        bad_handle(function="8"),
        bad_handle(device="d6"),
        bad_handle("MDEV"),
        bad_handle(key="0000:00:00.0"),
        bad_handle(note="\udc80"),
    ],
)
def test_a_bad_device_costs_itself_and_stays_as_it_is(device: DeviceReport) -> None:
    """A05: and neither the driver's other devices nor what is absent of it."""
    good = make_device("good")
    snapshot = scan_beside_other(finds(device, good))
    assert snapshot == Snapshot((good, OTHER), (), unseen("bad"))


@pytest.mark.parametrize(
    "device",
    [
        None,
        "card",
        bad(identity=""),
        bad(identity=None),
        bad(identity=" bad"),
        bad(identity="b\udc80d"),
        bad(identity="x" * 256),
    ],
)
def test_a_bad_device_without_a_name_may_be_any(device: DeviceReport) -> None:
    good = make_device("good")
    snapshot = scan_beside_other(finds(device, good))
    assert snapshot == Snapshot((good, OTHER), ("test_driver",))


def test_a_problem_that_names_no_device_may_hide_any() -> None:
    good = make_device("good")
    snapshot = scan_beside_other(finds(good, problems=(Problem("0000:0c:00.0", "EIO"),)))
    assert snapshot == Snapshot((good, OTHER), ("test_driver",))


def test_a_problem_that_names_a_device_hides_only_that() -> None:
    """D02: the others of its driver go when they are gone."""
    good = make_device("good")
    problems = (Problem("0000:0c:00.0", "EIO", "lost"), Problem("/sys", "also", "lost"))
    snapshot = scan_beside_other(finds(good, problems=problems))
    assert snapshot == Snapshot((good, OTHER), (), unseen("lost"))


@pytest.mark.parametrize("name", ["", " lost", "lo\x00st", "x" * 256, 5])
def test_a_problem_with_an_unusable_name_may_hide_any(name: str) -> None:
    good = make_device("good")
    snapshot = scan_beside_other(finds(good, problems=(Problem("x", "EIO", name),)))
    assert snapshot == Snapshot((good, OTHER), ("test_driver",))


def test_what_is_seen_is_not_unseen() -> None:
    good = make_device("good")
    snapshot = scan_beside_other(finds(good, problems=(Problem("x", "EIO", "GOOD"),)))
    assert snapshot == Snapshot((good, OTHER))


@pytest.mark.parametrize(
    ("twin", "hidden"),
    [
        (make_device("a", name="another", at="x"), ()),
        (make_device("A", name="another", at="x"), ()),
        (make_device("b", name="host_a"), ("b",)),
        (make_device("b", at="a"), ("b",)),
        (make_device("a"), ()),
    ],
)
def test_what_a_driver_has_twice_is_a_problem_of_that_device(
    twin: DeviceReport, hidden: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    devices = (make_device("a"), twin, make_device("c"))
    digests = set()
    for seed in range(8):
        caplog.clear()
        snapshot = scan_beside_other(finds(*shuffled(devices, seed)))
        assert snapshot.failed_drivers == ()
        assert snapshot.unseen == unseen(*hidden)
        assert len(snapshot.devices) == 3
        assert "discovery problem driver=test_driver" in caplog.text
        digests.add(snapshot.digest())
    assert len(digests) == 1


def test_who_has_what_is_there_twice_does_not_depend_on_how_it_is() -> None:
    first, second = make_device("a"), make_device("b", at="a")
    for condition in DeviceCondition:
        sick = dataclasses.replace(first, condition=condition, condition_reason=str(condition))
        snapshot = scan_beside_other(finds(second, sick))
        assert snapshot == Snapshot((sick, OTHER), (), unseen("b"))


def test_one_function_in_two_handles_of_a_device_is_one_handle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A03: and the device is there."""
    (part,) = make_device("a").deployables
    (handle,) = part.handles
    longer = {**handle.info, "domain": f"0000{handle.info['domain']}"}
    again = dataclasses.replace(handle, info=longer, key="")
    parts = (dataclasses.replace(part, handles=(handle, again), num_accelerators=2),)
    device = dataclasses.replace(make_device("a"), deployables=parts)
    snapshot = scan_beside_other(finds(device))
    assert snapshot == Snapshot((make_device("a"), OTHER))
    assert f"{handle.key} of host_a is there twice" in caplog.text


class TestTwoDrivers:
    """Both see one function: a GPU to the one, a PCI device to the other."""

    gpu = make_device("GPU-1", at="42:00.0")
    pci = make_device("0000:42:00.0", "other_driver", at="42:00.0")
    own = make_device("0000:43:00.0", "other_driver")

    def scanner(self, *order: str) -> Scanner:
        self.first = ScriptedDriver(finds(self.gpu))
        self.second = OtherDriver(finds(self.pci, self.own))
        drivers = {driver.name: driver for driver in (self.first, self.second)}
        return Scanner([drivers[name] for name in order])

    def test_the_first_has_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """A01: and nothing is wrong with the second."""
        caplog.set_level(logging.INFO, "cyborg.agent.scan")
        scanner = self.scanner("test_driver", "other_driver")
        for _ in range(3):
            snapshot = scanner.scan(PATIENCE)
            assert snapshot == Snapshot((self.gpu, self.own))
            accepted(snapshot)
        (record,) = caplog.records
        assert record.levelname == "INFO"
        (handle,) = self.gpu.deployables[0].handles
        assert record.message == (
            "found and not offered driver=other_driver "
            f"{handle.key}: already claimed by test_driver"
        )

    def test_the_operator_says_which_is_the_first(self) -> None:
        scanner = self.scanner("other_driver", "test_driver")
        assert scanner.scan(PATIENCE) == Snapshot((self.pci, self.own))

    def test_a_part_of_a_device_is_the_firsts(self) -> None:
        both = dataclasses.replace(
            self.pci, deployables=(*self.pci.deployables, *self.own.deployables)
        )
        scanner = self.scanner("test_driver", "other_driver")
        self.second.find = finds(both)
        rest = dataclasses.replace(self.pci, deployables=self.own.deployables)
        assert scanner.scan(PATIENCE) == Snapshot((self.gpu, rest))

    @pytest.mark.parametrize(
        "twin",
        [
            make_device("GPU-1", "other_driver", name="x"),
            make_device("gpu-1", "other_driver", name="x"),
            make_device("y", "other_driver", name="host_GPU-1"),
        ],
    )
    def test_a_name_is_the_firsts(self, twin: DeviceReport) -> None:
        scanner = self.scanner("test_driver", "other_driver")
        self.second.find = finds(twin, self.own)
        assert scanner.scan(PATIENCE) == Snapshot((self.gpu, self.own))

    @pytest.mark.parametrize(
        ("find", "failed", "hidden"),
        [
            (raises(DriverError("no bus")), ("test_driver",), ()),
            (finds(problems=(Problem("42:00.0", "EIO"),)), ("test_driver",), ()),
            (finds(problems=(Problem("42:00.0", "EIO", "GPU-1"),)), (), unseen("GPU-1")),
        ],
    )
    def test_what_the_first_does_not_see_for_a_scan_is_still_its_own(
        self,
        find: Callable[[], object],
        failed: tuple[str, ...],
        hidden: tuple[UnseenDevice, ...],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Else a function changes hands, and its class in Placement, at each hiccup."""
        caplog.set_level(logging.INFO, "cyborg.agent.scan")
        scanner = self.scanner("test_driver", "other_driver")
        scanner.scan(PATIENCE)
        self.first.find = find
        for _ in range(2):
            assert scanner.scan(PATIENCE) == Snapshot((self.own,), failed, hidden)
        self.first.find = finds(self.gpu)
        assert scanner.scan(PATIENCE) == Snapshot((self.gpu, self.own))
        assert caplog.text.count("not offered") == 1

    def test_what_the_first_does_not_see_any_more_is_the_seconds(self) -> None:
        scanner = self.scanner("test_driver", "other_driver")
        scanner.scan(PATIENCE)
        self.first.find = finds()
        assert scanner.scan(PATIENCE) == Snapshot((self.pci, self.own))

    def test_a_hidden_device_does_not_keep_what_its_driver_sees_elsewhere(self) -> None:
        """A card was replaced, and the old one is still named as a problem."""
        scanner = self.scanner("test_driver", "other_driver")
        scanner.scan(PATIENCE)
        new = make_device("GPU-2", name="host_GPU-1", at="42:00.0")
        self.first.find = finds(new, problems=(Problem("x", "y", "GPU-1"),))
        assert scanner.scan(PATIENCE) == Snapshot((new, self.own), (), unseen("GPU-1"))


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


def test_what_is_not_offered_is_logged_once_and_when_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cyborg.agent.scan")
    card = make_device("a")
    driver = ScriptedDriver(finds(card, not_offered=(NotOffered("0000:0c:00.0", "in use\nhere"),)))
    scanner = Scanner([driver])
    for _ in range(3):
        assert scanner.scan(PATIENCE) == Snapshot((card,))
    driver.find = finds(card, not_offered=(NotOffered("0000:0c:00.0", "it has no reset"),))
    scanner.scan(PATIENCE)
    driver.find = raises(DriverError("no bus"))
    scanner.scan(PATIENCE)
    driver.find = finds(card, not_offered=(NotOffered("0000:0c:00.0", "it has no reset"),))
    scanner.scan(PATIENCE)
    said = [record.message for record in caplog.records if "not offered" in record.message]
    assert said == [
        "found and not offered driver=test_driver 0000:0c:00.0: in use here",
        "found and not offered driver=test_driver 0000:0c:00.0: it has no reset",
    ]


def test_a_problem_of_a_device_is_logged_once_and_by_its_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cyborg.agent.scan")
    lost = Problem("0000:0c:00.0", "EIO\nERROR forged", "lost")
    driver = ScriptedDriver(finds(problems=(lost,)))
    scanner = Scanner([driver])
    for _ in range(2):
        scanner.scan(PATIENCE)
    driver.find = finds()
    scanner.scan(PATIENCE)
    assert [record.message for record in caplog.records] == [
        "discovery problem driver=test_driver reason=device lost is hidden: "
        "0000:0c:00.0: EIO ERROR forged",
        "discovery works again driver=test_driver",
    ]


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
