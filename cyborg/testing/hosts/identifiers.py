"""Addresses of PCI functions, and UUIDs that are the same in each build."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")


@dataclass(frozen=True, slots=True)
class PciAddress:
    """Where a PCI function is: ``0000:3d:00.4``."""

    domain: int
    bus: int
    device: int
    function: int

    @classmethod
    def parse(cls, text: str) -> PciAddress:
        """Return the address that a text is.

        :raises ValueError: it is none.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f"not the address of a PCI function: {text!r}")
        return cls(*(int(part, 16) for part in match.groups()))

    @property
    def routing_id(self) -> int:
        """Return bus, device and function as one number."""
        return self.bus << 8 | self.device << 3 | self.function

    def virtual_function(self, index: int, offset: int, stride: int) -> PciAddress:
        """Return where a virtual function of this physical one is; the first has the index 0."""
        routing_id = self.routing_id + offset + stride * index
        return PciAddress(self.domain, routing_id >> 8, routing_id >> 3 & 0x1F, routing_id & 7)

    def __str__(self) -> str:
        return f"{self.domain:04x}:{self.bus:02x}:{self.device:02x}.{self.function}"


def is_address(text: str) -> bool:
    """Return whether a text is the address of a PCI function."""
    return _ADDRESS.fullmatch(text) is not None


def invented_uuid(*seed: str | int) -> str:
    """Return a UUID that looks random, and is always the same for the same words."""
    digest = hashlib.sha256("|".join(map(str, seed)).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
