"""Mediated devices: their types, and those that are there."""

from __future__ import annotations

from typing import NamedTuple

from cyborg.testing.hosts.tree import GROUPS, Tree

DEVICES = "sys/bus/mdev/devices"
TYPES = "mdev_supported_types"

_DRIVER = "sys/bus/mdev/drivers/nvidia-vgpu-vfio"


class MdevType(NamedTuple):
    """A type of mediated devices, of NVIDIA's driver."""

    number: int
    name: str
    #: How many a card can have, if it has no others.
    most: int
    framebuffer_mib: int
    heads: int = 1
    resolution: str = "4096x2160"
    frame_rate: int = 60

    @property
    def description(self) -> str:
        """Return what the driver says of it."""
        return (
            f"num_heads={self.heads}, frl_config={self.frame_rate}, "
            f"framebuffer={self.framebuffer_mib}M, max_resolution={self.resolution}, "
            f"max_instance={self.most}"
        )


def add_mdev_type(tree: Tree, parent: str, mdev_type: MdevType, available: int) -> None:
    """Add a type to a function that mediated devices can be made of."""
    path = type_path(parent, mdev_type.number)
    values = {
        "name": mdev_type.name,
        "description": mdev_type.description,
        "device_api": "vfio-pci",
        "available_instances": available,
    }
    tree.attributes(path, values)
    tree.triggers(path, "create")
    tree.directory(f"{path}/devices")


def add_mdev(tree: Tree, parent: str, number: int, uuid: str) -> None:
    """Add a mediated device of a type to a function."""
    path = f"{parent}/{uuid}"
    group = tree.add_iommu_group()
    tree.triggers(path, "remove")
    tree.link(f"{path}/mdev_type", type_path(parent, number))
    tree.link(f"{path}/iommu_group", f"{GROUPS}/{group}")
    tree.link(f"{path}/subsystem", "sys/bus/mdev")
    tree.directory(_DRIVER)
    tree.link(f"{path}/driver", _DRIVER)
    tree.link(f"{GROUPS}/{group}/devices/{uuid}", path)
    tree.link(f"{type_path(parent, number)}/devices/{uuid}", path)
    tree.add_bus_link("mdev", uuid, path)
    tree.add_vfio_node(group)


def type_path(parent: str, number: int) -> str:
    """Return the directory of a type."""
    return f"{parent}/{TYPES}/nvidia-{number}"
