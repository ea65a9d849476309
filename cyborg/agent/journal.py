"""What the agent has begun and finished, on disk, so that a restart forgets nothing.

One JSON file a job. A file is replaced as a whole, never changed, so that one which is
there is complete. One that cannot be understood, or was written by a release with another
:data:`VERSION`, is as good as none: the conductor is asked before anything is done again.
Fields may be added to what is written without a new version, since a reader ignores those that
it does not know.
"""

from __future__ import annotations

import datetime
import enum
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cattrs
from oslo_log import log

from cyborg.domain.clock import Clock
from cyborg.domain.errors import CyborgError
from cyborg.domain.plain import from_plain, to_plain
from cyborg.domain.work import Work
from cyborg.files import replace_durably

LOG = log.getLogger(__name__)

VERSION = 2
KEPT_FOR = datetime.timedelta(days=1)
_NOT_UNDERSTOOD = (cattrs.BaseValidationError, TypeError, ValueError)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class JournalError(CyborgError):
    """The journal cannot be written, so nothing may be begun."""

    code = "cyborg.journal"


class Phase(enum.StrEnum):
    """How far a piece of work has come."""

    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest piece of work of a job."""

    version: int
    #: Of the host when it was written: what was made ready before a reboot is not any more.
    boot_id: str
    phase: Phase
    work: Work
    #: Only of what is finished: None, or why it failed.
    error: str | None
    #: It failed because the device was not there.
    away: bool = False
    #: Parts of its steps that are done: see :meth:`Journal.done`.
    done: tuple[str, ...] = ()


def read_boot_id() -> str:
    """Return what is different after each boot of this host, or nothing where it is unknown."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Journal:
    """The files. Safe for several threads, as long as each job is one thread's at a time."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        boot_id: str,
        failed: Callable[[OSError], None] = lambda _error: None,
    ) -> None:
        """Make a journal; its directory is made when it is needed.

        :param failed: called with each failure to write.
        """
        self._directory = directory
        self._failed = failed
        self._clock = clock
        self._boot_id = boot_id

    @property
    def boot_id(self) -> str:
        """What tells this boot of the host from others."""
        return self._boot_id

    def start(self, work: Work, done: Sequence[str] = ()) -> None:
        """Record that hardware is about to be touched; after the return that is durable.

        :param done: names of the parts of its steps that are done already.
        :raises JournalError: it may not be durable. What was recorded before may still be.
        """
        self._write(Entry(VERSION, self._boot_id, Phase.STARTED, work, None, done=tuple(done)))

    def finish(
        self, work: Work, error: str | None, away: bool = False, done: Sequence[str] = ()
    ) -> None:
        """Record how it ended.

        :param away: it failed because the device was not there.
        :param done: as for the start.

        :raises JournalError: it may not be durable: then it still counts as started.
        """
        self._write(Entry(VERSION, self._boot_id, Phase.FINISHED, work, error, away, tuple(done)))

    def done(self, work: Work) -> tuple[str, ...]:
        """Return the parts of the same work that earlier attempts have done.

        None, if the host was booted since or the device was away: then all is done again.
        """
        entry = self.get(work.job_uuid)
        if entry is None or entry.away or entry.boot_id != self._boot_id:
            return ()
        return entry.done if entry.work.steps == work.steps else ()

    def get(self, job_uuid: str) -> Entry | None:
        """Return what is known of a job.

        :raises ValueError: that is no uuid.
        """
        path = self._path(job_uuid)
        try:
            entry = from_plain(Entry, json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (*_NOT_UNDERSTOOD, OSError, RecursionError) as error:
            LOG.warning("journal entry ignored file=%s reason=%s", path, _reason(error))
            return None
        if entry.version != VERSION or entry.work.job_uuid != job_uuid:
            LOG.warning("journal entry ignored file=%s version=%s", path, entry.version)
            return None
        return entry

    def forget(self, job_uuid: str) -> None:
        """Delete what is known of a job, whose work was not begun after all."""
        path = self._path(job_uuid)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            # It counts as started, so it is asked for again.
            LOG.warning("journal entry not deleted file=%s reason=%s", path, _reason(error))

    def purge(self) -> None:
        """Delete what was written more than a day ago, whatever it is.

        The conductor has long forgotten such a job, or will ask for it again.
        """
        oldest = (self._clock() - KEPT_FOR).timestamp()
        try:
            files = list(os.scandir(self._directory))
        except FileNotFoundError:
            return
        except OSError as error:
            LOG.warning("journal not purged directory=%s reason=%s", self._directory, error)
            return
        for file in files:
            try:
                if file.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(file.path)
            except OSError as error:
                LOG.warning("journal entry not purged file=%s reason=%s", file.path, error)

    def _path(self, job_uuid: str) -> Path:
        # What comes in a message must not name a file elsewhere.
        return self._directory / f"{uuid.UUID(job_uuid)}.json"

    def _write(self, entry: Entry) -> None:
        path = self._path(entry.work.job_uuid)
        try:
            replace_durably(path, json.dumps(to_plain(entry)).encode())
        except OSError as error:
            self._failed(error)
            raise JournalError(f"The agent's journal cannot be written: {error}") from error


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
