"""Paths and errors for the tests of what a fake host's kernel does."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cyborg.testing.hosts import Kernel

FUNCTIONS = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"

#: Of ``t4-v100-mdev``.
GPU = "0000:5e:00.0"
#: Of ``qat-4xxx-16vf``.
QAT = f"{FUNCTIONS}/0000:e8:00.0"
QAT_THAT_IS_UP = f"{FUNCTIONS}/0000:6b:00.0"
VF = "0000:6b:00.1"

Make = Callable[[str], Kernel]


@contextmanager
def refused(code: int) -> Iterator[None]:
    """Expect an error number."""
    with pytest.raises(OSError) as caught:
        yield
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[code]
