"""What can be read of a board only while the host's driver has it: its serial number, its uuid.

For as long as a guest runs, libvirt has taken that driver away. What was read before is true of the
same board in the same place, so it is kept on disk; of another board there it is not.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from cyborg.drivers.host.state import StateFile

_VERSION = 1

#: Characters of a text that is remembered. A card may say more.
_LENGTH = 256


class Remembered:
    """Texts by address and board, on disk. Safe for several threads."""

    def __init__(self, file: StateFile) -> None:
        """Take a file, which is for nothing else."""
        self._file = file
        self._lock = threading.Lock()

    def recall(self, address: str, board: str, read: str | None) -> str | None:
        """Return what was read, or else what was read last of this board at this address.

        What is new is on disk when this returns.

        :param board: what can always be read of it and tells it from others: ids of vendor,
            product and subsystem.
        :param read: None or empty: it could not be read now.
        :raises DriverError: it is new, and cannot be written.
        """
        with self._lock:
            known = self._read()
            before = known.get(address)
            if read:
                after = {"board": board, "text": read[:_LENGTH]}
                if before != after:
                    known[address] = after
                    self._write(known)
                return after["text"]
            if before is None:
                return None
            return before["text"] if before["board"] == board else None

    def last(self, address: str) -> str | None:
        """Return what was read last at an address, of whichever board.

        It names a board that cannot be read at all; else ask with what can be read of it.
        """
        with self._lock:
            known = self._read().get(address)
        return None if known is None else known["text"]

    def forget_others(self, addresses: Collection[str]) -> None:
        """Forget what is at no such address any more.

        A card that comes back is read anew, before it is given to anybody.

        :raises DriverError: that cannot be written.
        """
        with self._lock:
            known = self._read()
            kept = {address: known[address] for address in known if address in addresses}
            if kept != known:
                self._write(kept)

    def _read(self) -> dict[str, Any]:
        state = self._file.read()
        if not isinstance(state, dict) or state.get("version") != _VERSION:
            return {}
        known = state.get("boards")
        return {
            address: each
            for address, each in (known.items() if isinstance(known, dict) else ())
            if isinstance(each, dict)
            and isinstance(each.get("board"), str)
            and isinstance(each.get("text"), str)
        }

    def _write(self, known: dict[str, Any]) -> None:
        self._file.write({"version": _VERSION, "boards": known})
