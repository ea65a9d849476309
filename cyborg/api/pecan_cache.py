"""Pecan inspects every controller's signature about seven times a request, and makes a class
each time. Signatures do not change, so each is inspected once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pecan.core
import pecan.rest
import pecan.routing
import pecan.util

NAME = "getargspec"
MODULES: tuple[ModuleType, ...] = (pecan.util, pecan.rest, pecan.routing, pecan.core)


class Memoised:
    """Pecan's inspection, once a function."""

    def __init__(self, inspect: Callable[[Any], Any]) -> None:
        self._by_function = functools.lru_cache(maxsize=1024)(inspect)

    def __call__(self, method: Any) -> Any:
        """Return the signature of a function or method."""
        # A bound method is a new object each time it is looked at; its function is not.
        return self._by_function(getattr(method, "__func__", method))


def install() -> None:
    """Memoise pecan's inspection in every module that uses it. Again is without effect.

    :raises RuntimeError: pecan has no such function in one of them; the reason to have
        this module may be gone.
    """
    missing = [module.__name__ for module in MODULES if not hasattr(module, NAME)]
    if missing:
        raise RuntimeError(f"pecan has no {NAME} in {', '.join(missing)} any more")
    if isinstance(pecan.util.getargspec, Memoised):
        return
    memoised = Memoised(pecan.util.getargspec)
    for module in MODULES:
        setattr(module, NAME, memoised)
