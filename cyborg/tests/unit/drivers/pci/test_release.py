"""Functions are given free and whole, and taken back clean."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cyborg.drivers.contract import DeviceAway, DriverError
from cyborg.drivers.host import NoVerbs, Possession
from cyborg.testing.hosts import happen
from cyborg.testing.hosts.functions import PciFunction
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.tree import Tree
from cyborg.tests.unit.drivers.pci.conftest import Bench, handle

PLACE = "0000:21:00.0"
RESET = f"/sys/bus/pci/devices/{PLACE}/reset"
ENTRIES = [{"vendor_id": "1e52"}]
CARD = PciFunction("1e52:401e", "120000", subsystem="1e52:0014", driver="acme")

Make = Callable[..., Bench]


def build(host: FakeHost) -> None:
    host.add_chipset()
    host.add_function(PLACE, host.add_root_bus(0x21), CARD)


@pytest.fixture
def bench(make: Make) -> Bench:
    return make(build, ENTRIES)


def to_guest(bench: Bench) -> None:
    """Let libvirt give the card to a guest, which has it open."""
    kernel = bench.machine.kernel
    kernel.write(f"/sys/bus/pci/devices/{PLACE}/driver_override", "vfio-pci")
    kernel.write("/sys/bus/pci/drivers/acme/unbind", PLACE)
    kernel.write("/sys/bus/pci/drivers_probe", PLACE)
    kernel.busy.add(PLACE)


def from_guest(bench: Bench) -> None:
    """Let the guest end, and libvirt give the card back."""
    kernel = bench.machine.kernel
    kernel.busy.clear()
    kernel.write(f"/sys/bus/pci/devices/{PLACE}/driver_override", "\n")
    kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", PLACE)
    kernel.write("/sys/bus/pci/drivers/acme/bind", PLACE)


def driver_of(bench: Bench) -> str | None:
    link = bench.root / f"sys/bus/pci/devices/{PLACE}/driver"
    return link.readlink().name if link.is_symlink() else None


def test_a_life(bench: Bench) -> None:
    bench.driver.prepare(handle(PLACE), {})
    to_guest(bench)
    from_guest(bench)
    before = len(bench.machine.kernel.log)
    bench.driver.release(handle(PLACE))
    assert bench.machine.kernel.log[before:] == [(RESET, "1")]
    assert driver_of(bench) == "acme"


def test_the_report_does_not_change_while_a_guest_has_it(bench: Bench) -> None:
    before = bench.driver.discover()
    bench.driver.prepare(handle(PLACE), {})
    assert bench.driver.discover() == before
    to_guest(bench)
    assert bench.driver.discover() == before
    assert bench.new_driver().discover() == before


def test_who_opens_it_between_two_steps_is_seen(bench: Bench) -> None:
    """The agent may have been killed between the wait and the reset, and is back an hour later."""
    bench.driver.prepare(handle(PLACE), {})
    names = [step.name for step in bench.driver.clean_steps(handle(PLACE))]
    assert names == ["wait", "reset"]
    bench.driver.clean(handle(PLACE), "wait", lambda _percent: None)
    to_guest(bench)
    before = len(bench.machine.kernel.log)
    with pytest.raises(DriverError, match="is not free: somebody has it"):
        bench.new_driver().clean(handle(PLACE), "reset", lambda _percent: None)
    assert bench.machine.kernel.log[before:] == []


class TestPrepare:
    def test_what_a_guest_has_is_not_given(self, bench: Bench) -> None:
        to_guest(bench)
        with pytest.raises(DriverError, match="is not free: somebody has it"):
            bench.driver.prepare(handle(PLACE), {})

    def test_what_it_was_given_stays_its_guests(self, bench: Bench) -> None:
        """After a boot of the host the guest may run before this is asked again."""
        bench.driver.prepare(handle(PLACE), {})
        to_guest(bench)
        bench.new_driver().prepare(handle(PLACE), {})
        bench.machine.kernel.busy.clear()
        bench.new_driver().release(handle(PLACE))
        bench.machine.kernel.busy.add(PLACE)
        with pytest.raises(DriverError, match="is not free"):
            bench.driver.prepare(handle(PLACE), {})

    def test_another_board_is_given_anew(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        bench.write(PLACE, "subsystem_device", "0x0099\n")
        to_guest(bench)
        with pytest.raises(DriverError, match="is not free"):
            bench.new_driver().prepare(handle(PLACE), {})

    def test_what_does_not_answer_is_not_given(self, bench: Bench) -> None:
        bench.write(PLACE, "config", b"\xff" * 64)
        with pytest.raises(DriverError, match="configuration space is all ones"):
            bench.driver.prepare(handle(PLACE), {})

    def test_what_an_operator_allows_no_more_is_not_given(self, bench: Bench) -> None:
        bench.conf.set_override("passthrough_whitelist", [], group="pci")
        bench.driver.configure()
        with pytest.raises(DriverError, match="not in"):
            bench.driver.prepare(handle(PLACE), {})

    def test_one_that_is_away(self, bench: Bench) -> None:
        happen(bench.root, "remove", PLACE)
        with pytest.raises(DeviceAway):
            bench.driver.prepare(handle(PLACE), {})


class TestHolders:
    """The kernel protects nothing that is in use: a release waits, then fails."""

    def test_a_guest_that_ends_late_is_waited_for(self, make: Make) -> None:
        bench = make(build, ENTRIES)
        bench.driver.prepare(handle(PLACE), {})
        to_guest(bench)
        clock = bench.machine.clock

        def slept(now: float) -> None:
            if now > 3 and bench.machine.kernel.busy:
                from_guest(bench)

        clock.slept = slept
        bench.driver.release(handle(PLACE))
        assert bench.machine.kernel.resets == {PLACE: 1}
        assert 3 < clock() < 20

    def test_one_that_does_not_end_is_never_reset(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        to_guest(bench)
        with pytest.raises(DriverError, match="is not free: somebody has it"):
            bench.driver.release(handle(PLACE))
        assert bench.machine.kernel.resets == {}
        assert bench.machine.clock() >= 20

    def test_unknown_is_not_free(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        to_guest(bench)
        bench.machine.kernel.busy.clear()
        (group,) = (bench.root / "dev/vfio").glob("[0-9]*")
        group.unlink()
        with pytest.raises(DriverError, match="nobody can tell who has it"):
            bench.driver.release(handle(PLACE))
        assert bench.machine.kernel.resets == {}

    def test_whoever_calls_the_verb_is_refused_too(self, bench: Bench) -> None:
        to_guest(bench)
        for verb in (bench.machine.verbs.reset, lambda a: bench.machine.verbs.bind_driver(a, "")):
            with pytest.raises(DriverError, match="somebody has it"):
                verb(PLACE)
        assert bench.machine.kernel.resets == {}


class TestSettling:
    def test_a_driver_that_comes_back_late_is_waited_for(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        to_guest(bench)
        bench.machine.kernel.busy.clear()

        def slept(now: float) -> None:
            if now > 1 and driver_of(bench) != "acme":
                from_guest(bench)

        bench.machine.clock.slept = slept
        bench.driver.release(handle(PLACE))
        assert driver_of(bench) == "acme"
        assert bench.machine.kernel.log[-1] == (RESET, "1"), "the reset comes last"

    def test_one_that_does_not_come_back_leaves_the_card_as_it_is(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        to_guest(bench)
        bench.machine.kernel.busy.clear()
        bench.driver.release(handle(PLACE))
        assert driver_of(bench) == "vfio-pci"
        assert bench.machine.kernel.resets == {PLACE: 1}


class TestReset:
    def test_a_method_that_lied_is_computed_anew(self, bench: Bench) -> None:
        bench.machine.kernel.fail[RESET] = [errno.ENOTTY]
        bench.driver.release(handle(PLACE))
        writes = [(path.rpartition("/")[2], value) for path, value in bench.machine.kernel.log]
        assert writes == [("reset", "1"), ("reset_method", "default"), ("reset", "1")]

    def test_one_that_never_works(self, bench: Bench) -> None:
        bench.machine.kernel.fail[RESET] = errno.ENOTTY
        with pytest.raises(DriverError, match="cannot be reset"):
            bench.driver.release(handle(PLACE))

    def test_one_that_takes_too_long_gets_no_second_one(self, make: Make) -> None:
        bench = make(build, ENTRIES, reset_timeout=1)
        bench.machine.kernel.hang[RESET] = 3
        for _ in range(2):
            with pytest.raises(DriverError, match="cannot be reset"):
                bench.driver.release(handle(PLACE))

    def test_a_card_that_answers_no_more(self, bench: Bench) -> None:
        bench.machine.verbs = FallsOff(bench)
        with pytest.raises(DriverError, match="after its reset: it does not answer"):
            bench.new_driver().release(handle(PLACE))


class FallsOff(NoVerbs):
    """A card that does not come back from its reset."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def holders(self, address: str) -> Possession:
        return Possession(False)

    def reset(self, address: str) -> None:
        self._bench.write(address, "config", b"\xff" * 64)


class TestAway:
    def test_a_card_that_is_not_there(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        happen(bench.root, "remove", PLACE)
        with pytest.raises(DeviceAway):
            bench.driver.release(handle(PLACE))

    def test_another_board_in_its_place(self, bench: Bench) -> None:
        bench.driver.prepare(handle(PLACE), {})
        bench.write(PLACE, "subsystem_device", "0x0099\n")
        with pytest.raises(DeviceAway, match="another board"):
            bench.new_driver().release(handle(PLACE))
        assert bench.machine.kernel.resets == {}

    def test_the_other_board_is_cleaned_when_that_is_asked_for_again(self, bench: Bench) -> None:
        """Else nobody would ever get it: what was given is not coming back."""
        self.replace(bench)
        with pytest.raises(DeviceAway, match="another board"):
            bench.driver.release(handle(PLACE))
        bench.new_driver().release(handle(PLACE))
        assert bench.machine.kernel.resets == {PLACE: 1}

    @pytest.mark.parametrize("is_told", [True, False])
    def test_what_left_dirty_is_cleaned_before_it_is_given(
        self, bench: Bench, is_told: bool
    ) -> None:
        self.replace(bench)
        if is_told:
            with pytest.raises(DeviceAway):
                bench.driver.release(handle(PLACE))
            bench.driver.release(handle(PLACE))
        else:
            bench.driver.prepare(handle(PLACE), {})
            bench.driver.release(handle(PLACE))
        assert bench.machine.kernel.resets == {PLACE: 1}
        bench.driver.prepare(handle(PLACE), {})
        assert bench.machine.kernel.resets == {PLACE: 1}, "it is clean"
        bench.driver.release(handle(PLACE))
        bench.write(PLACE, "subsystem_device", "0x0014\n")
        bench.new_driver().prepare(handle(PLACE), {})
        assert bench.machine.kernel.resets == {PLACE: 3}

    def test_what_left_dirty_and_cannot_be_cleaned_is_not_given(self, bench: Bench) -> None:
        self.replace(bench)
        with pytest.raises(DeviceAway):
            bench.driver.release(handle(PLACE))
        bench.write(PLACE, "subsystem_device", "0x0014\n")
        bench.machine.kernel.fail[RESET] = errno.EIO
        with pytest.raises(DriverError, match="cannot be reset"):
            bench.driver.prepare(handle(PLACE), {})

    def replace(self, bench: Bench) -> None:
        """Put another board where one is that was given."""
        bench.driver.prepare(handle(PLACE), {})
        bench.write(PLACE, "subsystem_device", "0x0099\n")


class TestIdempotence:
    def test_a_release_of_what_was_never_prepared_resets_it(self, bench: Bench) -> None:
        bench.driver.release(handle(PLACE))
        assert bench.machine.kernel.resets == {PLACE: 1}

    def test_each_may_come_again(self, bench: Bench) -> None:
        for _ in range(2):
            bench.driver.prepare(handle(PLACE), {})
            bench.new_driver().prepare(handle(PLACE), {})
            for _ in range(2):
                bench.new_driver().release(handle(PLACE))


class TestErrors:
    """A fatal error counts until the card has been reset."""

    def condition(self, bench: Bench) -> tuple[str, str | None]:
        (found,) = bench.new_driver().discover().devices
        return found.condition, found.condition_reason

    def test_a_fatal_one_is_over_after_a_reset(self, bench: Bench) -> None:
        happen(bench.root, "aer-fatal", PLACE)
        assert self.condition(bench)[0] == "failed"
        bench.driver.release(handle(PLACE))
        assert self.condition(bench) == ("healthy", None)

    def test_a_card_that_is_plugged_in_begins_at_none(self, bench: Bench) -> None:
        """What another card in its place has had, and is over, is not this one's."""
        happen(bench.root, "aer-fatal", PLACE)
        bench.driver.release(handle(PLACE))
        happen(bench.root, "remove", PLACE)
        Tree(bench.root).add_function(PLACE, "sys/devices/pci0000:21", CARD)
        assert self.condition(bench) == ("healthy", None)
        happen(bench.root, "aer-fatal", PLACE)
        assert self.condition(bench)[0] == "failed"

    def test_each_error_counts(self, bench: Bench) -> None:
        for _ in range(2):
            happen(bench.root, "aer-fatal", PLACE)
            assert self.condition(bench)[0] == "failed"
            bench.driver.release(handle(PLACE))

    def test_a_boot_begins_at_none(self, bench: Bench, tmp_path: Path) -> None:
        happen(bench.root, "aer-fatal", PLACE)
        bench.driver.release(handle(PLACE))
        boot_id = bench.root / "proc/sys/kernel/random/boot_id"
        boot_id.parent.mkdir(parents=True)
        boot_id.write_text("another\n")
        assert self.condition(bench)[0] == "failed"


def test_two_cards_at_a_time(make: Make) -> None:
    """One that hangs holds up no other."""
    other = "0000:31:00.0"

    def two(host: FakeHost) -> None:
        build(host)
        host.add_function(other, host.add_root_bus(0x31), CARD)

    bench = make(two, ENTRIES, reset_timeout=60)
    bench.machine.kernel.hang[RESET] = 6
    slow = threading.Thread(target=bench.driver.release, args=(handle(PLACE),))
    slow.start()
    began = time.monotonic()
    bench.driver.release(handle(other))
    assert time.monotonic() - began < 5
    slow.join()
    assert bench.machine.kernel.resets == {PLACE: 1, other: 1}
