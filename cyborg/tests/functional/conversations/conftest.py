"""Conversations as tests: a YAML file is one collector, or one for each microversion."""

from __future__ import annotations

import copy
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from gabbi import suitemaker, utils
from gabbi.fixture import nest

from cyborg.api import microversions
from cyborg.tests.functional.conversations import service
from cyborg.tests.functional.conversations.handlers import HANDLERS

_HEADER = microversions.HEADER.lower()


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """Collect the files of this directory. Gabbi's own plugin takes every ':' for its own."""
    if file_path.suffix != ".yaml":
        return None
    collector: pytest.Collector = ConversationFile.from_parent(parent, path=file_path)
    return collector


class ConversationFile(pytest.File):
    """A file: with ``versions: every`` it is held once in each microversion."""

    def collect(self) -> Iterable[pytest.Collector]:
        """Return the conversations."""
        content = utils.load_yaml(yaml_file=str(self.path))
        if content.pop("versions", None) != "every":
            yield Conversation.from_parent(self, name="conversation", content=content)
            return
        for version in _every_version():
            yield Conversation.from_parent(self, name=version, content=content, version=version)


class Conversation(pytest.Collector):
    """One service, and what is said to it from the first request to the last."""

    def __init__(self, *, content: dict[str, Any], version: str | None = None, **node: Any) -> None:
        super().__init__(**node)
        # Gabbi replaces what files refer to in place.
        content = copy.deepcopy(content)
        defaults = content.setdefault("defaults", {})
        if version is not None:
            content["tests"] = [test for test in content["tests"] if _is_in(version, test)]
            headers = {_HEADER: f"accelerator {version}", **defaults.get("request_headers", {})}
            defaults["request_headers"] = headers
        handlers = [handler() for handler in HANDLERS]
        self._suite = suitemaker.test_suite_from_dict(
            unittest.TestLoader(),
            self.path.stem,
            content,
            str(self.path.parent),
            "localhost",
            None,
            service,
            lambda: service.application,
            handlers=handlers,
        )

    def collect(self) -> Iterable[pytest.Item]:
        """Return the requests."""
        for case in self._suite:
            name = case.test_data["name"]
            yield Exchange.from_parent(self, name=name, case=case)

    def setup(self) -> None:
        """Start the service."""
        classes = next(iter(self._suite)).fixtures
        self._running = nest([fixture() for fixture in classes])
        self._running.__enter__()

    def teardown(self) -> None:
        """End it."""
        self._running.__exit__(None, None, None)


class Exchange(pytest.Item):
    """A request and what is said of its answer. Alone, it has those before it come first."""

    def __init__(self, *, case: unittest.TestCase, **node: Any) -> None:
        super().__init__(**node)
        self._case = case

    def runtest(self) -> None:
        """Send it."""
        result = unittest.TestResult()
        self._case.run(result)
        # What gabbi passes over shows nothing.
        for _, reason in result.skipped:
            raise Refuted(f"was not sent: {reason}")
        for _, text in [*result.failures, *result.errors]:
            # Where in gabbi it was noticed says nothing.
            raise Refuted(text[text.rindex("Error: ") :] if "AssertionError: " in text else text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Return what differs."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where it is."""
        return self.path, None, f"{self.path.stem}: {self.name}"


class Refuted(AssertionError):
    """An answer is not what the file says."""


def _is_in(version: str, test: dict[str, str]) -> bool:
    """Return whether something is said in a version, by its keys ``since`` and ``below``."""
    since, below = test.pop("since", None), test.pop("below", None)
    asked = microversions.negotiate(f"accelerator {version}")
    return (since is None or asked >= microversions.negotiate(since)) and (
        below is None or asked < microversions.negotiate(below)
    )


def _every_version() -> list[str]:
    major, last = microversions.MAXIMUM
    return [f"{major}.{minor}" for minor in range(last + 1)] + ["latest"]
