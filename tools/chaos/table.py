"""The faults in their order, and the table of what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faults_agent
import faults_cloud
import faults_conductor
import faults_devices
import faults_machine
import faults_messages
import faults_races
import faults_servers
from fault import Fault

FAILED = "FAILED"

_GROUPS = (
    faults_agent,
    faults_cloud,
    faults_conductor,
    faults_devices,
    faults_machine,
    faults_messages,
    faults_races,
    faults_servers,
)


def all_faults() -> list[Fault]:
    """Return all faults, in the table's order."""
    found = [fault for group in _GROUPS for fault in group.FAULTS]
    return sorted(found, key=lambda fault: (fault.number[0], int(fault.number[1:])))


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a fault."""

    fault: Fault
    verdict: str = "not run"
    measured: str = ""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether it was run, and the target is met."""
        return self.verdict == "ok"


def printed(rows: Sequence[Row]) -> str:
    """Return the table as text, with the measured values beside the targets."""
    columns = [("", "fault", "target", "measured", "", "s")]
    for row in rows:
        fault = row.fault
        measured = " ".join(row.measured.split())[:160]
        columns.append(
            (fault.number, fault.what, fault.target, measured, row.verdict, f"{row.seconds:.0f}")
        )
    widths = [max(len(line[at]) for line in columns) for at in range(len(columns[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in columns
    ]
    good = sum(row.is_good for row in rows)
    return "\n".join([*lines, f"{good} of {len(rows)} rows are good"])
