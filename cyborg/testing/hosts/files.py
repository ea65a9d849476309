"""Files and links below a directory that stands for ``/``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

#: Modes of attributes: to read, to read and write, to write.
READ_ONLY = 0o444
WRITABLE = 0o644
TRIGGER = 0o200


class Files:
    """A directory that stands for ``/``. Every path is relative to it, and is a string."""

    def __init__(self, root: Path) -> None:
        """Take a directory, which need not be there."""
        self.root = root.resolve()
        self._made: set[str] = set()

    def write(self, path: str, content: str | bytes = "", mode: int = READ_ONLY) -> None:
        """Write a file, whatever the umask is and whatever is there already."""
        full = self._ready(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(full, flags, mode)
        except FileExistsError:
            os.remove(full)
            descriptor = os.open(full, flags, mode)
        with open(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, mode)
            if content:
                file.write(content.encode() if isinstance(content, str) else content)

    def attributes(
        self, directory: str, values: Mapping[str, object], mode: int = READ_ONLY
    ) -> None:
        """Write files of one line each."""
        for name, value in values.items():
            self.write(f"{directory}/{name}", f"{value}\n", mode)

    def triggers(self, directory: str, *names: str) -> None:
        """Write files that can be written, and not read."""
        for name in names:
            self.write(f"{directory}/{name}", mode=TRIGGER)

    def node(self, name: str, mode: int = 0o600) -> None:
        """Write an empty file that stands for a node in /dev."""
        self.write(f"dev/{name}", mode=mode)

    def tool(self, name: str, output: object) -> None:
        """Write what a vendor's tool prints on this host: text, or else a value as JSON."""
        text = output if isinstance(output, str) else json.dumps(output, indent=2) + "\n"
        self.write(f"tools/{name}", text, WRITABLE)

    def directory(self, path: str) -> None:
        """Make a directory, if it is not there, and those above it."""
        if path not in self._made:
            os.makedirs(f"{self.root}/{path}", exist_ok=True)
            self._made.add(path)

    def link(self, path: str, target: str) -> None:
        """Make a link, relative as the kernel's are, whatever is there already."""
        full = self._ready(path)
        text = os.path.relpath(f"/{target}", os.path.dirname(f"/{path}"))
        try:
            os.symlink(text, full)
        except FileExistsError:
            os.remove(full)
            os.symlink(text, full)

    def read(self, path: str) -> str:
        """Return what a file holds, without the end of its last line."""
        return (self.root / path).read_text().rstrip("\n")

    def remove(self, directory: str, *names: str) -> None:
        """Remove files and links."""
        for name in names:
            os.remove(f"{self.root}/{directory}/{name}")

    def names_in(self, directory: str) -> list[str]:
        """Return the names in a directory, sorted; none if it is not there."""
        full = self.root / directory
        return sorted(os.listdir(full)) if full.is_dir() else []

    def _ready(self, path: str) -> str:
        """Make the directory of a file, and return the file's full path."""
        self.directory(os.path.dirname(path))
        return f"{self.root}/{path}"
