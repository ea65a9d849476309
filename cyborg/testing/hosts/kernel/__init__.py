"""What the kernel does when a driver writes, with its error numbers.

A driver is given ``Kernel.write`` and ``Kernel.read`` in place of what opens files. Modelled are
drivers of functions, virtual functions, mediated devices, vGPUs by NVIDIA's VFIO, QuickAssist,
reset, removal, partitions of AMD's GPUs and quotas of Intel's; other files keep what is written.

What writes answer has been seen on Linux 6.1 and 6.12 in virtual machines, or was read in the
kernel's source or its ABI files. Where it was seen on hardware by others, or is a guess, a
comment says so.

Some writes do not fail while an instance holds a device, they do not return. Here they wait
until a test, in another thread, takes the device out of ``Kernel.busy``; after
``Kernel.patience`` seconds they raise :class:`StillBlocked`, which no kernel does: the driver
has waited where it should have had a deadline.
"""

from cyborg.testing.hosts.kernel import drivers, functions, mdev, qat, sriov, vgpu  # noqa: F401 -- they answer writes
from cyborg.testing.hosts.kernel.kernel import Kernel, StillBlocked

__all__ = ["Kernel", "StillBlocked"]
