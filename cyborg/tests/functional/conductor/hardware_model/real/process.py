"""An agent's process, which may be killed at any moment that can be told from another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cyborg.domain.errors import ServiceUnavailable

T = TypeVar("T")

#: A piece of work seldom has more moments at which it makes a difference.
MOMENTS = 8


class Process:
    """Is asked at each moment whether it lives. What a dead one does has no effect.

    Its threads go on for a little after its end, as they do in no process: what they write to
    its state directory meanwhile is undone by :meth:`bury`.
    """

    def __init__(self, state: Path) -> None:
        """Begin to live.

        :param state: its directory, which survives it.
        """
        self._state = state
        self._saved = state.with_name(f"{state.name}.saved")
        self._left: int | None = None
        self.is_dead = False

    def doom(self, moment: int) -> None:
        """Let it die at the moment of this number from now on."""
        self._left = moment

    def spare(self) -> None:
        """Let it live."""
        self._left = None

    def moment(self, error: Callable[[], Exception]) -> None:
        """Be at a moment at which it may die.

        :param error: what the dead are told.
        """
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.die()
        if self.is_dead:
            raise error()

    def die(self) -> None:
        """End here and now."""
        self._left = None
        self.is_dead = True
        if self._state.exists():
            shutil.copytree(self._state, self._saved)

    def message(self, send: Callable[[], T]) -> T:
        """Send a message to the conductor, and get the answer.

        :raises ServiceUnavailable: nobody has sent it, or nobody gets the answer.
        """
        self.moment(_unheard)
        answer = send()
        self.moment(_unheard)
        return answer

    def bury(self) -> None:
        """Leave on its disk what was there when it died."""
        if self._state.exists():
            shutil.rmtree(self._state)
        if self._saved.exists():
            self._saved.rename(self._state)


def _unheard() -> Exception:
    return ServiceUnavailable("The agent is dead.")
