"""Whether the agent can write its files, without which it must begin nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from oslo_log import log

from cyborg.domain.errors import ConfigurationError
from cyborg.files import make_private, write_durably

LOG = log.getLogger(__name__)

#: Bytes that are written to find out: more than an entry of the journal has.
PROBE_SIZE = 16 * 1024

#: What a crash leaves of it is purged as what is unfinished.
_PROBE = "probe.part"


def require_writable(*directories: Path) -> None:
    """Make directories, and write to each of them.

    :raises ConfigurationError: one cannot be made or written.
    """
    for directory in directories:
        error = _write_to(directory)
        if error is not None:
            raise ConfigurationError(_text(directory, error))


class StateWatch:
    """Knows whether a directory can be written. Safe for several threads."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        """Begin with a directory that can be.

        :param changed: called when a write has failed after others that have not.
        """
        self._directory = directory
        self._changed = changed
        self._lock = threading.Lock()
        self._reason: str | None = None

    def reason(self) -> str | None:
        """Return why nothing can be begun, the same as long as it is so; None if it can be."""
        with self._lock:
            return self._reason

    def probe(self) -> None:
        """Find out by writing. Nobody needs to be told: a report follows."""
        self._note(_write_to(self._directory))

    def failed(self, error: OSError) -> None:
        """Note that a write has failed; that it works again :meth:`probe` finds out."""
        if self._note(error):
            self._changed()

    def _note(self, error: OSError | None) -> bool:
        """Return whether that is a change."""
        reason = None if error is None else _text(self._directory, error)
        with self._lock:
            before, self._reason = self._reason, reason
        if before == reason:
            return False
        if reason is None:
            LOG.info("the agent's state can be written again directory=%s", self._directory)
        else:
            LOG.error("nothing is offered or begun: %s", reason)
        return True


def _write_to(directory: Path) -> OSError | None:
    path = directory / _PROBE
    try:
        make_private(directory)
        write_durably(path, bytes(PROBE_SIZE))
        path.unlink()
    except OSError as error:
        return error
    return None


def _text(directory: Path, error: OSError) -> str:
    return f"The agent's state cannot be written: {directory}: {error.strerror or error}."
