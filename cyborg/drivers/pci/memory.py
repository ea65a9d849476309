"""What the driver remembers of cards: what nobody can read again when it is needed."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

from cyborg.drivers.host import StateFile

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Given:
    """A function as it was when an instance was given it."""

    #: Ids of its board, by which another one in its place is known.
    board: str
    #: The host's driver that it had; empty for none.
    driver: str


class Memory:
    """By address, on disk. Safe for several threads."""

    def __init__(self, file: StateFile, boot_id: str) -> None:
        """Take the file.

        :param boot_id: of this boot of the host, in which counters of errors began at 0.
        """
        self._file = file
        self._boot_id = boot_id
        self._lock = threading.Lock()

    def given(self, address: str) -> Given | None:
        """Return how a function was given; None if that is not known."""
        with self._lock:
            found = self._read()["given"].get(address)
        try:
            return Given(**found)
        except TypeError:
            return None

    def give(self, address: str, given: Given | None) -> None:
        """Remember how a function is given, or that it is taken back.

        :raises DriverError: that cannot be written.
        """
        with self._lock:
            state = self._read()
            before = state["given"].get(address)
            after = None if given is None else asdict(given)
            if before == after:
                return
            if after is None:
                del state["given"][address]
            else:
                state["given"][address] = after
            self._file.write(state)

    def leave(self, address: str) -> None:
        """Remember of a function's board that it has left with what its last owner left on it.

        What is at the address now was never given.

        :raises DriverError: that cannot be written.
        """
        with self._lock:
            state = self._read()
            given = state["given"].pop(address, None)
            if given is None:
                return
            board = given.get("board") if isinstance(given, dict) else None
            if isinstance(board, str):
                state["left"] = sorted({*state["left"], board})
            self._file.write(state)

    def has_left(self, board: str) -> bool:
        """Return whether a board of this kind has left dirty, and may be back at any address."""
        with self._lock:
            return board in self._read()["left"]

    def fatal_errors(self) -> dict[str, int]:
        """Return the errors of this boot that are over and done with."""
        with self._lock:
            return dict(self._read()["fatal_errors"])

    def forgive(self, address: str, errors: int) -> None:
        """Note that a card works after so many fatal errors.

        :raises DriverError: that cannot be written.
        """
        with self._lock:
            state = self._read()
            if state["fatal_errors"].get(address, 0) != errors:
                state["fatal_errors"][address] = errors
                self._file.write(state)

    def _read(self) -> dict[str, Any]:
        state = self._file.read()
        if not isinstance(state, dict) or state.get("version") != _VERSION:
            state = {}
        given = state.get("given")
        left = state.get("left")
        errors = state.get("fatal_errors")
        same_boot = state.get("boot_id") == self._boot_id
        return {
            "version": _VERSION,
            "boot_id": self._boot_id,
            "given": given if isinstance(given, dict) else {},
            "left": [each for each in left if isinstance(each, str)]
            if isinstance(left, list)
            else [],
            "fatal_errors": (
                {key: value for key, value in errors.items() if isinstance(value, int)}
                if same_boot and isinstance(errors, dict)
                else {}
            ),
        }
