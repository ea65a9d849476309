"""The kernel of a host that is a directory."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Iterable, MutableSet
from pathlib import Path

from cyborg.testing.hosts.kernel.sysfs import is_there, put
from cyborg.testing.hosts.kernel.writes import HANDLERS, Write
from cyborg.testing.hosts.tree import Tree
from cyborg.testing.hosts.vgpu import L40S_MIB, L40S_TYPES, VgpuType

_SECONDS_BETWEEN_LOOKS = 0.01


class StillBlocked(Exception):
    """The kernel would not have returned yet; the text says which write, and who holds what."""


class Kernel:
    """What writes to a host's tree do, and the errors that they raise.

    Its attributes are for tests: some say what is the case, some what has been done.
    """

    def __init__(self, root: Path) -> None:
        """Take a host that has been built."""
        self.root = root.resolve()
        #: What was written, in order: paths as they were given, values without white space.
        self.log: list[tuple[str, str]] = []
        #: How often functions were reset, by address.
        self.resets: Counter[str] = Counter()
        #: Addresses of functions and UUIDs of mediated devices that an instance holds open.
        self.busy: MutableSet[str] = set()
        #: Writes that fail, by path: always with one error number, or once with each of several.
        self.fail: dict[str, int | list[int]] = {}
        #: How many seconds a write takes, by path.
        self.hang: dict[str, float] = {}
        #: After how many seconds a write that blocks raises StillBlocked.
        self.patience = 5.0
        #: What ``create`` answers where there is no room: EUSERS is the core's, some drivers
        #: have ENOSPC.
        self.mdev_full = errno.EUSERS
        #: What vfio-pci takes without being told for each function: ``10de:2330``.
        self.vfio_ids: set[str] = set()
        #: The vGPUs that a card of NVIDIA's with a VFIO of its own can have, and its memory.
        self.vgpu_types: dict[int, VgpuType] = dict(L40S_TYPES)
        self.card_mib = L40S_MIB
        #: Reset methods before anybody changed them, by address.
        self.reset_methods: dict[str, str] = {}

    def path(self, path: str) -> Path:
        """Return where a path of the host is here."""
        return self.root / path.lstrip("/")

    def relative(self, path: Path) -> str:
        """Return a path as trees name it."""
        return str(path.relative_to(self.root))

    def tree(self) -> Tree:
        """Return the tree as it is now, to add to it."""
        return Tree(self.root)

    def read(self, path: str) -> str:
        """Return what a file of the host holds.

        :raises OSError: it cannot be read.
        """
        return self.path(path).read_bytes().decode("utf-8", "surrogateescape")

    def write(self, path: str, value: str | int) -> None:
        """Write to a file of the host.

        A write of nothing reaches no code of the kernel's; a new line clears.

        :raises OSError: the kernel refuses.
        :raises StillBlocked: it would not have returned after ``patience`` seconds.
        """
        text = str(value).strip()
        self.log.append((path, text))
        if str(value) == "":
            return
        write = Write(path, self.path(path).parent.resolve(), text)
        self._delay_or_fail(write)
        file = write.directory / self.path(path).name
        # Every function has driver_override, those too whose files are not as they should be.
        if not is_there(file) and file.name != "driver_override":
            raise write.error(errno.ENOENT if write.directory.is_dir() else errno.ENODEV)
        if file.name in HANDLERS:
            HANDLERS[file.name](self, write)
        else:
            put(file, text)

    def _delay_or_fail(self, write: Write) -> None:
        if write.path in self.hang:
            time.sleep(self.hang[write.path])
        failure = self.fail.get(write.path)
        if failure:
            raise write.error(failure.pop(0) if isinstance(failure, list) else failure)

    def wait_until_free(self, names: Iterable[str], write: Write) -> None:
        """Return when nobody holds any of these open, as the kernel does.

        :raises StillBlocked: somebody does for longer than ``patience``.
        """
        wanted = set(names)
        until = time.monotonic() + self.patience
        while held := self.busy & wanted:
            if time.monotonic() > until:
                raise StillBlocked(f"{write.path}: {', '.join(sorted(held))}")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
