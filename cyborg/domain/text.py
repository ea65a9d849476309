"""Text from outside that every database, log and JSON reader can hold."""

from __future__ import annotations

import re

#: Control characters, and halves of characters (surrogates) that no UTF-8 has.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def is_plain(text: str) -> bool:
    """Return whether a text is one line that can be stored and shown as it is."""
    return not _UNFIT.search(text)


def plain(text: str, limit: int) -> str:
    """Return a text as one line that can be stored and shown, cut off where it is too long."""
    line = " ".join(_UNFIT.sub(" ", text.replace("\x00", "")).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
