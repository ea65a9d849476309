"""Text that every database, log and JSON reader can hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.text import is_plain, plain

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(text=ANY_TEXT, limit=st.integers(1, 50))
def test_what_is_made_plain_is_plain(text: str, limit: int) -> None:
    line = plain(text, limit)
    assert is_plain(line)
    assert len(line) <= limit
    assert line == line.strip()
    assert len(line.splitlines()) <= 1
    line.encode()
    assert plain(line, limit) == line


@given(text=ANY_TEXT)
def test_what_is_plain_can_be_stored(text: str) -> None:
    if is_plain(text):
        assert json.loads(json.dumps(text)) == text
        text.encode()
        assert "\x00" not in text
        assert len(text.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a card", "a card"),
        ("Tesla\x00\x00\x00", "Tesla"),
        ("Tes\x00la", "Tesla"),
        ("two\nlines", "two lines"),
        ("  two\r\n\t blanks  ", "two blanks"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("na\udce9", "na"),
        ("a\u2028b\x85c\ufeffd", "a b c\ufeffd"),
        ("Grafikkarte \u00fc \u4e2d \U0001f600", "Grafikkarte \u00fc \u4e2d \U0001f600"),
        ("\x00", ""),
        ("", ""),
    ],
)
def test_what_becomes_of_a_text(text: str, line: str) -> None:
    assert plain(text, 100) == line


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert plain("x" * 10, 10) == "x" * 10
    assert plain("x" * 11, 10) == "x" * 9 + "\u2026"
    # What is not shown does not count.
    assert plain("x" * 10 + "\x00" * 10, 10) == "x" * 10


@pytest.mark.parametrize("unfit", ["\x00", "\n", "\x1f", "\x7f", "\x9f", "\u2028", "\ud800"])
def test_what_is_not_plain(unfit: str) -> None:
    assert not is_plain(f"a{unfit}b")
