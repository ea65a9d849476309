"""How much is tried, and what came of it.

A short, reproducible choice by default; ``make fuzz`` sets CYBORG_TEST_FUZZ to the number of
examples, and CYBORG_TEST_FUZZ_DATABASE to another kind of database than SQLite.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from keystonemiddleware import auth_token

from cyborg.tests.functional.fuzz.world import World, fetch_token

#: Of the run: version and operation to statuses.
FIGURES = pytest.StashKey[dict[tuple[str, str], Counter[int]]]()
STARTED = pytest.StashKey[float]()

EXAMPLES = int(os.environ.get("CYBORG_TEST_FUZZ") or 0)
DATABASE = os.environ.get("CYBORG_TEST_FUZZ_DATABASE") or "sqlite"


# Not of the session: keystonemiddleware is as it should be for the tests after these.
@pytest.fixture(scope="package")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The API on a real conductor, behind keystonemiddleware that knows the personas."""
    if DATABASE == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('fuzz')}/cyborg.sqlite"
    else:
        url = request.getfixturevalue(DATABASE).create_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth_token.AuthProtocol, "fetch_token", fetch_token)
        world = World(url)
        yield world
        world.close()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> dict[tuple[str, str], Counter[int]]:
    """What came of each operation."""
    pytestconfig.stash[STARTED] = time.monotonic()
    return pytestconfig.stash.setdefault(FIGURES, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the figures of a full run."""
    figures = config.stash.get(FIGURES, {})
    if not EXAMPLES or not figures:
        return
    terminalreporter.section("fuzz")
    total: Counter[int] = Counter()
    for (version, operation), statuses in figures.items():
        total += statuses
        terminalreporter.write_line(f"{version} {operation}: {_in_words(statuses)}")
    seconds = time.monotonic() - config.stash[STARTED]
    terminalreporter.write_line(f"all: {_in_words(total)}; {seconds:.0f} s on {DATABASE}")


def _in_words(statuses: Counter[int]) -> str:
    successes = sum(count for status, count in statuses.items() if status < 300)
    each = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    share = 100 * successes / max(statuses.total(), 1)
    return f"{statuses.total()} cases, {share:.0f} % successes ({each})"
