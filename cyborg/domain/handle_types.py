"""What becomes of an attach handle: the types that Nova knows, and what it reads of each.

A handle of another type is reported, offered and bound like these. The agent warns of it,
since a server gets nothing of it: see ``cyborg.agent.scan``.
"""

from __future__ import annotations

from collections.abc import Mapping

#: In hexadecimal, without 0x.
PCI_ADDRESS = ("domain", "bus", "device", "function")

#: By type: the keys of a handle's info that must be there.
HANDLE_TYPES: Mapping[str, tuple[str, ...]] = {
    # A PCI function. The hypervisor passes it through as it is.
    "PCI": PCI_ADDRESS,
    # A part of the PCI function at this address. Nova makes a mediated device of the type that
    # is asked for, with the handle's uuid as its own, if there is none; from release 34 on.
    "MDEV": (*PCI_ADDRESS, "asked_type"),
    # For tests: bound like the others, and ignored by every hypervisor.
    "TEST_PCI": PCI_ADDRESS,
}
