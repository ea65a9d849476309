"""What one look at a directory has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contents:
    """Files and links of a directory, by name: what each holds, or why that cannot be read."""

    path: str
    found: Mapping[str, bytes | OSError]

    def data(self, name: str) -> bytes:
        """Return what a file holds.

        :raises OSError: it is not there, or cannot be read.
        """
        value = self.found[name]
        if isinstance(value, OSError):
            raise value
        return value

    def text(self, name: str) -> str:
        """Return what a file says, or the last name of where a link points.

        Without blanks at its ends, and with what is no text replaced.

        :raises OSError: it is not there, or cannot be read.
        """
        return self.data(name).decode(errors="replace").strip().strip("\0")

    def text_or(self, name: str, default: str) -> str:
        """Return the same, and the default where there is no such file.

        :raises OSError: it is there, and cannot be read.
        """
        try:
            return self.text(name)
        except FileNotFoundError:
            return default

    @property
    def is_nothing(self) -> bool:
        """Whether nothing that was looked for is there."""
        return all(isinstance(value, FileNotFoundError) for value in self.found.values())
