"""Which part of a collection is wanted, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cyborg.domain.errors import InvalidInput

T = TypeVar("T")


class MarkerNotFound(InvalidInput):
    """The object that a page is to begin after is not there, or not for the caller."""

    code = "cyborg.marker_not_found"


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an order."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a collection. The default is all of it, oldest first."""

    #: At most so many objects; None: all.
    limit: int | None = None
    #: Only what comes after the object of this uuid.
    marker: str | None = None
    #: What is equal in all of these is in the order of creation.
    sort: tuple[SortKey, ...] = ()

    def and_one_more(self) -> Page:
        """Return the page and the object after it, which tells whether there is one."""
        return self if self.limit is None else replace(self, limit=self.limit + 1)

    def cut(self, found: Sequence[T]) -> tuple[Sequence[T], bool]:
        """Return the page of what :meth:`and_one_more` found, and whether more follow."""
        if self.limit is None or len(found) <= self.limit:
            return found, False
        return found[: self.limit], True


EVERYTHING = Page()
