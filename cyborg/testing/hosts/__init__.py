"""The hardware of whole hosts, as files: what drivers read on machines that nobody has here.

:func:`build` makes one of the :func:`scenarios` in a directory, below which are ``sys``, ``dev``,
``proc``, in some ``etc`` and ``run``, and in ``tools`` what vendors' tools print there. The
:class:`Manifest` says what a driver must find and what it must not. Plain files take every
write; :class:`Kernel` answers writes as the kernel does. :func:`happen` lets hardware fail::

    manifest = build("qat-4xxx-16vf", tmp_path)
    kernel = Kernel(tmp_path)
    kernel.write("/sys/bus/pci/devices/0000:e8:00.0/qat/state", "up")
    happen(tmp_path, "remove", "0000:6b:00.0")

A host of hardware that no scenario has is made with :class:`FakeHost` and :class:`PciFunction`,
and is a scenario itself with :func:`scenario` before the function that makes it. By hand:
``python -m cyborg.testing.hosts --list``.

Identifiers, names of files and formats are those of real hardware; addresses, serial numbers,
UUIDs and what a comment calls invented are not.
"""

from cyborg.testing.hosts import families  # noqa: F401 -- makes their hosts known
from cyborg.testing.hosts.catalogue import BuiltHosts, build, scenario, scenarios
from cyborg.testing.hosts.events import happen
from cyborg.testing.hosts.functions import PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.kernel import Kernel, StillBlocked
from cyborg.testing.hosts.manifest import DeviceEntry, Manifest, NoteEntry, RegionEntry

__all__ = [
    "BuiltHosts",
    "DeviceEntry",
    "FakeHost",
    "Kernel",
    "Manifest",
    "NoteEntry",
    "PciFunction",
    "RegionEntry",
    "Sriov",
    "StillBlocked",
    "build",
    "happen",
    "scenario",
    "scenarios",
]
