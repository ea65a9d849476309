"""A write to an attribute, and who answers it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyborg.testing.hosts.kernel.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Write:
    """A write that has found its file."""

    #: As the writer named it.
    path: str
    #: The attribute's directory, without links.
    directory: Path
    #: Without white space at its ends.
    value: str

    def error(self, code: int) -> OSError:
        """Return what is raised when the kernel refuses it."""
        return OSError(code, os.strerror(code), self.path)


Handler = Callable[["Kernel", Write], None]

#: By the name of the attribute; others keep what is written to them.
HANDLERS: dict[str, Handler] = {}


def answers(name: str) -> Callable[[Handler], Handler]:
    """Return a decorator that lets a function answer writes to the attributes of a name."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register
