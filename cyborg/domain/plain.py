"""Records as plain JSON data: what messages, rows and journals hold.

A reader ignores fields that it does not know, so that neighbouring releases understand each
other. A step carries its name, by which its class is found.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.preconf.json import make_converter

from cyborg.domain.work import STEPS, Step

T = TypeVar("T")

_STEP = "step"


def to_plain(record: object) -> Any:
    """Return a record (or list of them) as plain data."""
    return _converter.unstructure(record)


def from_plain(kind: type[T], data: object) -> T:
    """Return the record that plain data stands for.

    :raises cattrs.BaseValidationError: if a field is missing or of another type.
    :raises ValueError: if a step is not one that this release knows.
    """
    return _converter.structure(data, kind)


def _step_to_plain(step: Step) -> dict[str, Any]:
    return {_STEP: step.name, **_writer(step.name)(step)}


def _step_from_plain(data: Any, _kind: type[Step]) -> Step:
    name = data.get(_STEP) if isinstance(data, dict) else None
    if name not in STEPS:
        raise ValueError(f"this release does not know the step {name}")
    return _reader(name)(data, STEPS[name])


@functools.cache
def _writer(name: str) -> Callable[[Step], dict[str, Any]]:
    return make_dict_unstructure_fn(STEPS[name], _converter)


@functools.cache
def _reader(name: str) -> Callable[[Any, Any], Step]:
    return make_dict_structure_fn(STEPS[name], _converter)


def _is_step(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Step)


_converter = make_converter()
_converter.register_unstructure_hook_func(_is_step, _step_to_plain)
_converter.register_structure_hook_func(lambda kind: kind is Step, _step_from_plain)
