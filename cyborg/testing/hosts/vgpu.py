"""Types of vGPUs where NVIDIA's driver has a VFIO of its own, and no mediated devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_HEADER = "ID    : vGPU Name\n"


class VgpuType(NamedTuple):
    """A type of vGPUs."""

    name: str
    framebuffer_mib: int


def creatable(names: Mapping[int, str]) -> str:
    """Return what ``creatable_vgpu_types`` says of types, by number."""
    return _HEADER + "".join(f"{number:<5} : {name}\n" for number, name in names.items())


def _l40s() -> dict[int, VgpuType]:
    sizes = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
    numbered = [(1145, 1, "B"), (1146, 2, "B")]
    numbered += [(1147 + index, size, "Q") for index, size in enumerate(sizes)]
    numbered += [(1157 + index, size, "A") for index, size in enumerate(sizes)]
    numbered += [(2164, 3, "B")]
    return {
        number: VgpuType(f"NVIDIA L40S-{size}{series}", 1024 * size)
        for number, size, series in numbered
    }


#: Those of an L40S, by number, in the driver's order; and the memory that they share.
L40S_TYPES = _l40s()
L40S_MIB = 49152
