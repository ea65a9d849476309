"""Reading and changing a tree as the kernel does, below what it checks."""

from __future__ import annotations

from pathlib import Path


def text_of(path: Path, default: str = "") -> str:
    """Return what an attribute says; a default if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return default


def put(path: Path, text: str) -> None:
    """Let an attribute say one line."""
    if path.exists():
        path.chmod(0o644)
    path.write_text(f"{text}\n")


def is_there(path: Path) -> bool:
    """Return whether there is a file or a link, wherever it points."""
    return path.is_symlink() or path.exists()


def driver_of(function: Path) -> str | None:
    """Return the name of the driver that a function has."""
    link = function / "driver"
    return link.resolve().name if link.is_symlink() else None


def vfs_of(function: Path) -> list[Path]:
    """Return the directories of a physical function's virtual ones."""
    return [link.resolve() for link in function.glob("virtfn*")]
