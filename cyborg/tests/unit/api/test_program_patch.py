"""The meaning of a body that programs."""

from __future__ import annotations

from typing import Any

import pytest

from cyborg.api.v2.program_patch import parse
from cyborg.domain.errors import InvalidInput

IMAGE = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
VALUE = [{"image_uuid": IMAGE}]


def operation(**changes: Any) -> dict[str, Any]:
    made = {"path": "/program", "op": "replace", "value": VALUE, **changes}
    return {name: value for name, value in made.items() if value is not ...}


@pytest.mark.parametrize(
    "body",
    [
        [operation()],
        [operation(op="add")],
        [operation(value=[{"image_uuid": IMAGE.upper()}])],
        [operation(value=[{"image_uuid": "A" * 32, "more": 1}])],
        [operation(more=1)],
        # Only the first counts.
        [operation(value=[*VALUE, {"image_uuid": "x"}])],
        [operation(), {}],
    ],
)
def test_an_image(body: object) -> None:
    assert parse(body) == IMAGE


PATHS: list[object] = [
    ...,
    None,
    5,
    "",
    "program",
    "/program/",
    "/Program",
    "/name",
    "/num_accelerators",
    "/uuid",
    "/id",
    "/links",
    "/created_at",
    "/updated_at",
    "/a b",
]
VALUES: list[object] = [
    ...,
    None,
    IMAGE,
    {"image_uuid": IMAGE},
    [],
    [IMAGE],
    [None],
    [[]],
    [{}],
    [{"image_uuid": None}],
    [{"image_uuid": 5}],
    [{"image_uuid": ""}],
    [{"image_uuid": IMAGE + "\n"}],
    [{"image_uuid": "../etc/passwd"}],
    [{"image_uuid": [IMAGE]}],
]
BODIES: list[object] = [
    None,
    5,
    "x",
    {},
    operation(),
    [],
    [None],
    ["x"],
    [[]],
    [{}],
    [operation(op="remove")],
    [operation(op="Replace")],
    [operation(op=["add"])],
    [operation(op=...)],
    *([operation(path=path)] for path in PATHS),
    *([operation(value=value)] for value in VALUES),
]


@pytest.mark.parametrize("body", BODIES)
def test_what_means_nothing(body: object) -> None:
    with pytest.raises(InvalidInput):
        parse(body)
