"""The hosts, a module for each family; importing this makes them known."""

from cyborg.testing.hosts.families import (
    alveo,
    amd,
    ascend,
    dfl,
    dsa,
    gaudi,
    generic,
    intel_gpu,
    malformed,
    memory,
    nic,
    nvidia,
    nvidia_mdev,
    nvidia_vfio,
    nvme,
    qat,
)

__all__ = [
    "alveo",
    "amd",
    "ascend",
    "dfl",
    "dsa",
    "gaudi",
    "generic",
    "intel_gpu",
    "malformed",
    "memory",
    "nic",
    "nvidia",
    "nvidia_mdev",
    "nvidia_vfio",
    "nvme",
    "qat",
]
