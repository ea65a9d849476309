"""What another process sees of a fake host's kernel, and does to it."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import pytest

from cyborg.testing.drivers.service import WatchedKernel
from cyborg.testing.hosts import build

CARD = "0000:21:00.0"
RESET = f"/sys/bus/pci/devices/{CARD}/reset"


@pytest.fixture
def kernel(tmp_path: Path) -> WatchedKernel:
    build("pci-groups", tmp_path / "root")
    return WatchedKernel(tmp_path / "root")


def answers(kernel: WatchedKernel) -> list[str]:
    """Return what has been recorded of resets of the card."""
    lines = (kernel.root / "writes").read_text().splitlines()
    writes = [json.loads(line) for line in lines]
    assert all((write["path"], write["value"]) == (RESET, "1") for write in writes)
    return [write["answer"] for write in writes]


def trouble(kernel: WatchedKernel, **kinds: object) -> None:
    (kernel.root / "trouble").write_text(json.dumps(kinds))


def test_a_write_is_recorded_when_it_is_asked_and_when_it_has_worked(
    kernel: WatchedKernel,
) -> None:
    kernel.write(RESET, "1\n")
    assert answers(kernel) == ["asked", "ok"]
    assert kernel.resets[CARD] == 1


def test_one_that_is_to_fail_fails_until_it_is_not(kernel: WatchedKernel) -> None:
    trouble(kernel, fail={RESET: "EIO"})
    with pytest.raises(OSError) as failure:
        kernel.write(RESET, 1)
    assert failure.value.errno == errno.EIO
    trouble(kernel)
    kernel.write(RESET, 1)
    assert answers(kernel) == ["asked", "EIO", "asked", "ok"]
    assert kernel.resets[CARD] == 1


def test_one_that_is_to_take_its_time_takes_it(kernel: WatchedKernel) -> None:
    trouble(kernel, hang={RESET: 0.02})
    began = time.monotonic()
    kernel.write(RESET, 1)
    assert time.monotonic() - began >= 0.02
    assert answers(kernel) == ["asked", "ok"]
