"""What the kernel has reset, as it tells itself: by a probe at the one function that resets one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from real_host import DEVICES, read, write

_TRACING = Path("/sys/kernel/debug/tracing")

# Of its argument, a pci_dev: where devfn, vendor and device are. So it has been in all kernels.
_PROBE = "p:lab/flr pcie_flr place=+56(%di):u32 vendor=+60(%di):x16 product=+62(%di):x16"

_LINE = re.compile(
    r"-(?P<pid>\d+) .* (?P<at>\d+\.\d+): flr: .*"
    r" place=(?P<place>\d+) vendor=(?P<vendor>0x\w+) product=(?P<product>0x\w+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Reset:
    """A function level reset that the kernel has done."""

    #: The process that asked for it.
    pid: int
    #: As ``time.monotonic`` has it.
    at: float


class Resets:
    """Sees every function level reset from now on."""

    def __init__(self) -> None:
        write(_TRACING / "trace_clock", "mono")
        descriptor = os.open(_TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{_PROBE}\n".encode())
        os.close(descriptor)
        write(_TRACING / "events/lab/flr/enable", "1")

    def of(self, address: str, since: float = 0.0) -> list[Reset]:
        """Return those of a function, in their order.

        :param since: when it was, by ``time.monotonic``, at the earliest.
        """
        slot, number = address.rpartition(":")[2].split(".")
        wanted = (int(slot, 16) << 3 | int(number, 16), *_ids(address))
        found = []
        for match in _LINE.finditer((_TRACING / "trace").read_text()):
            ids = (int(match["place"]), int(match["vendor"], 16), int(match["product"], 16))
            if ids == wanted and float(match["at"]) >= since:
                found.append(Reset(int(match["pid"]), float(match["at"])))
        return found


def _ids(address: str) -> tuple[int, int]:
    """Return vendor and product, which several functions at one place of their bus differ in."""
    directory = DEVICES / address
    return int(read(directory / "vendor"), 16), int(read(directory / "device"), 16)
