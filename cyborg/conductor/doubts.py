"""Looking at many things of another service, of which one may get no proper answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oslo_log import log

from cyborg.clients.http import BadAnswer

LOG = log.getLogger(__name__)


class Doubts:
    """What is wrong with one thing costs that one; what is wrong with the service ends the look.

    A cell that does not answer, or a record that makes a service answer 500, is about the one
    thing that was asked for. So many of them in a row are not.
    """

    def __init__(self, most: int) -> None:
        """Begin without doubt.

        :param most: bad answers in a row that end the look.
        """
        self._most = most
        self._in_a_row = 0
        self._answered = False
        self._last: BadAnswer | None = None

    @contextmanager
    def about(self, what: str) -> Iterator[None]:
        """Ask about one thing; a bad answer is logged, and leaves the block.

        :raises BadAnswer: it is one too many.
        """
        try:
            yield
        except BadAnswer as error:
            LOG.warning("not looked at %s: %s", what, error)
            self._last = error
            self._in_a_row += 1
            if self._in_a_row >= self._most:
                raise
        else:
            self._answered = True
            self._in_a_row = 0

    def end(self) -> None:
        """End the look.

        :raises BadAnswer: not one thing got a proper answer.
        """
        if self._last is not None and not self._answered:
            raise self._last
