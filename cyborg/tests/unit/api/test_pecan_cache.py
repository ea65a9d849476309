"""The cost that pecan would have again at each request."""

from __future__ import annotations

import inspect
import types
from typing import Any

import pecan.util
import pytest

from cyborg.api import pecan_cache
from cyborg.tests.unit.api.harness import Api


def test_pecan_still_has_what_is_memoised() -> None:
    for module in pecan_cache.MODULES:
        assert callable(getattr(module, pecan_cache.NAME)), module.__name__


def test_it_is_installed_once(api: Api) -> None:
    first = pecan.util.getargspec
    assert isinstance(first, pecan_cache.Memoised)
    pecan_cache.install()
    for module in pecan_cache.MODULES:
        assert getattr(module, pecan_cache.NAME) is first


def test_a_second_request_inspects_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected: list[Any] = []
    original = pecan.util._getargspec

    def counted(method: Any) -> Any:
        inspected.append(method)
        return original(method)

    monkeypatch.setattr(pecan.util, "_getargspec", counted)
    # A fresh cache: the functions of other tests' requests are known already.
    fresh = pecan_cache.Memoised(_plain())
    for module in pecan_cache.MODULES:
        monkeypatch.setattr(module, pecan_cache.NAME, fresh)
    assert api.get("/v2/devices").status_int == 200
    assert inspected
    inspected.clear()
    assert api.get("/v2/devices").status_int == 200
    assert inspected == []


def test_signatures_are_the_same() -> None:
    def function(self: object, a: int, *b: int, c: int = 1) -> None: ...

    fresh = pecan_cache.Memoised(_plain())
    assert fresh(function).args == inspect.getfullargspec(function).args
    bound = types.MethodType(function, object())
    assert fresh(bound) == fresh(function)


def test_a_pecan_without_the_function_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pecan_cache, "MODULES", (types.ModuleType("pecan.other"),))
    with pytest.raises(RuntimeError, match=r"pecan\.other"):
        pecan_cache.install()


def _plain() -> Any:
    pecan_cache.install()
    memoised = pecan.util.getargspec
    return memoised._by_function.__wrapped__
