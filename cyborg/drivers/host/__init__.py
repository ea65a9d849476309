"""The host as drivers may touch it, and the only way to it.

A driver gets a :class:`Host` in its environment and opens no file, runs no command and reads
no device beside it, and changes hardware with the privileged :class:`Verbs` there. So a test
gives it a host of its own, in a directory, and finds there all that the driver has done.
"""

from __future__ import annotations

from cyborg.drivers.host.commands import Output
from cyborg.drivers.host.contents import Contents
from cyborg.drivers.host.files import Files
from cyborg.drivers.host.host import Host
from cyborg.drivers.host.remembered import Remembered
from cyborg.drivers.host.state import StateFile
from cyborg.drivers.host.verbs import NoVerbs, Possession, Verbs

__all__ = [
    "Contents",
    "Files",
    "Host",
    "NoVerbs",
    "Output",
    "Possession",
    "Remembered",
    "StateFile",
    "Verbs",
]
