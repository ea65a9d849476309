"""Reading JSON."""

from __future__ import annotations

import pytest
import webob

from cyborg.api.body import MAX_DEPTH, check_text, read_json
from cyborg.api.errors import UnsupportedMediaType
from cyborg.domain.errors import InvalidInput


def read(raw: bytes, content_type: str = "application/json") -> object:
    request = webob.Request.blank("/", method="POST", body=raw)
    request.content_type = content_type
    return read_json(request)


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b'{"a": [1, 2.5, null, true, "x"]}', {"a": [1, 2.5, None, True, "x"]}),
        ('["é\U0001f600"]'.encode(), ["é\U0001f600"]),
        (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
        (b'["\\\\u0000"]', ["\\u0000"]),
        (b" [] ", []),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
    ],
)
def test_good(raw: bytes, data: object) -> None:
    found = read(raw)
    assert data is None or found == data


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Missing"),
        (b"{", "not valid"),
        (b"[] []", "not valid"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "too large"),
        (b"[-1e999]", "too large"),
        (b"[" + b"1" * 5000 + b"]", "not valid"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"a": {"b": 1, "b": 2}}]', "twice"),
        (b'["\xff"]', "UTF-8"),
        ("[]".encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf[]", "not valid"),
        (b'["a\0"]', "not valid"),
        (b'["a\\u0000"]', "NUL"),
        (b'{"a\\u0000": 1}', "NUL"),
        (b'[[{"a": ["\\u0000"]}]]', "NUL"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deeply"),
        (b'{"a":' * 30000 + b"1" + b"}" * 30000, "deeply"),
        (b"[" * 30000, "deeply"),
    ],
)
def test_bad(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(raw)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json-patch+json", ""])
def test_type(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read(b"[]", content_type)


def test_type_with_a_parameter() -> None:
    assert read(b"[]", "application/json; charset=utf-8") == []


def test_check_text() -> None:
    check_text("é\U0001f600", "It")
    with pytest.raises(InvalidInput, match="It contains a NUL"):
        check_text("\0", "It")
