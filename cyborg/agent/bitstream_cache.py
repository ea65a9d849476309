"""Files that were downloaded once and may be needed again, within limits of size and age."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from oslo_log import log

from cyborg.domain.clock import Clock
from cyborg.files import make_private, sync_directory

LOG = log.getLogger(__name__)

_UNFINISHED = ".part"


class BitstreamCache:
    """A directory of files. Safe for several threads; not for several processes."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        #: Files in use, and how often.
        self._pinned: Counter[Path] = Counter()

    def pin(self, name: str) -> Path:
        """Return where a file is or will be; it stays until it is unpinned as often."""
        path = self._directory / name
        with self._lock:
            self._pinned[path] += 1
            # That it is used now decides when it goes.
            now = self._clock().timestamp()
            with contextlib.suppress(OSError):
                os.utime(path, (now, now))
        return path

    def unpin(self, path: Path) -> None:
        """Let a file go when there is no room for it. A file of others is none of ours."""
        with self._lock:
            self._pinned[path] -= 1
            if self._pinned[path] <= 0:
                del self._pinned[path]

    @contextmanager
    def new_file(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file that gets its name when the block ends well, and else goes.

        :raises OSError: it cannot be written.
        """
        make_private(self._directory)
        descriptor, temporary = tempfile.mkstemp(suffix=_UNFINISHED, dir=self._directory)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._directory / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_directory(self._directory)

    def remove_unfinished(self) -> None:
        """Delete what an earlier process has begun. To be called before anything else."""
        for path in self._files():
            if path.name.endswith(_UNFINISHED):
                _remove(path)

    def purge(self, most: int, age: float) -> None:
        """Delete what was not used for ``age`` seconds, and the oldest beyond ``most`` bytes."""
        oldest = self._clock().timestamp() - age
        with self._lock:
            left = 0
            for path, used, size in sorted(self._finished(), key=lambda each: -each[1]):
                left += size
                if path not in self._pinned and (used < oldest or left > most):
                    left -= size
                    _remove(path)

    def _finished(self) -> Iterator[tuple[Path, float, int]]:
        for path in self._files():
            with contextlib.suppress(OSError):
                found = path.stat()
                if not path.name.endswith(_UNFINISHED):
                    yield path, found.st_mtime, found.st_size

    def _files(self) -> list[Path]:
        try:
            return list(self._directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            LOG.warning("bitstreams not purged directory=%s: %s", self._directory, error)
            return []


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        LOG.warning("bitstream not deleted file=%s: %s", path, error)
    else:
        LOG.info("bitstream deleted file=%s", path)
