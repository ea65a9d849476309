"""``make mutations``: what it says of a mutation, and that ours still can be tried."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cyborg.tests.functional.processes.harness import wait_for
from cyborg.tests.servers.keeper import state_of

TOP = Path(__file__).resolve().parents[3]

#: A test for each way in which one can end, of a package that is called as ours is.
TESTS = """
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cyborg.value import VALUE

OF_A_CHILD = "import cyborg.value; print(cyborg.value.VALUE)"


def test_value():
    assert VALUE == 1


def test_value_of_a_child():
    command = [sys.executable, "-c", OF_A_CHILD]
    assert subprocess.run(command, cwd="/", stdout=subprocess.PIPE).stdout == b"1\\n"


def test_of_nothing():
    pass


@pytest.fixture
def fixture():
    assert VALUE == 1


def test_fixture(fixture):
    pass


def test_what_is_not_installed():
    if VALUE != 1:
        pytest.fail("no server") if os.environ.get("CI") else pytest.skip("no server")


def test_that_waits():
    if VALUE != 1:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["PIDS"]).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)


def test_that_fails():
    assert VALUE == 0
"""
DIFF = """
diff --git a/cyborg/value.py b/cyborg/value.py
--- a/cyborg/value.py
+++ b/cyborg/value.py
@@ -1 +1 @@
-VALUE = {old}
+VALUE = {new}
"""


@dataclass
class Repository:
    """A little project with mutations of its own."""

    root: Path
    temporary: Path

    def mutation(self, name: str, *tests: str, old: str = "1", new: str = "2") -> None:
        """Add one, which changes a value."""
        lines = ["Promise: the value is 1.", *(f"Tests: test_value.py{test}" for test in tests)]
        self.write(
            f"tools/mutations/{name}.patch", "\n".join(lines) + DIFF.format(old=old, new=new)
        )

    def write(self, name: str, content: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    @property
    def pids(self) -> Path:
        """Where a test that waits says who it is."""
        return self.temporary / "pids"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start what ``make mutations`` does."""
        return subprocess.Popen(
            [sys.executable, TOP / "tools/mutations/run.py", "--root", self.root, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "CI": "true",
                "TMPDIR": str(self.temporary),
                "PIDS": str(self.pids),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Do what ``make mutations`` does; return the exit status and what is printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        assert [path.name for path in self.temporary.glob("cyborg-*")] == []
        return process.returncode, output

    def verdicts(self, output: str) -> dict[str, tuple[str, str]]:
        """Return the verdict and the reason of each mutation, from the table at the end."""
        lines = re.findall(
            r"^([a-z-]+) +(killed|SURVIVED|ERROR) +([^\d\s].*)$", output, re.MULTILINE
        )
        return {name: (verdict, reason) for name, verdict, reason in lines}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One in which nothing is committed yet."""
    made = Repository(tmp_path / "repository", tmp_path / "temporary")
    made.temporary.mkdir()
    made.write("cyborg/__init__.py", "")
    made.write("cyborg/value.py", "VALUE = 1\n")
    made.write("test_value.py", TESTS)
    subprocess.run(["git", "init", "--quiet", made.root], check=True)
    return made


def test_what_becomes_of_each(repository: Repository) -> None:
    repository.mutation("killed", "::test_of_nothing", " -k 'value and not child'")
    repository.mutation("killed-in-a-child", "::test_value_of_a_child")
    repository.mutation("survives", "::test_of_nothing")
    repository.mutation("skipped", "::test_what_is_not_installed")
    repository.mutation("does-not-apply", "::test_value", old="0")
    repository.mutation("no-such-test", "::test_that_is_not_there")
    repository.mutation("nothing-selected", " -k nothing_of_the_kind")
    repository.mutation("cannot-be-imported", "", new="(")
    repository.mutation("fixture", "::test_fixture")
    status, output = repository.run("--no-baseline", "--jobs", "4")
    assert status == 1, output
    assert repository.verdicts(output) == {
        "killed": ("killed", "test_value.py::test_value"),
        "killed-in-a-child": ("killed", "test_value.py::test_value_of_a_child"),
        "survives": ("SURVIVED", "all its tests pass"),
        "skipped": ("SURVIVED", "all its tests pass"),
        "does-not-apply": ("ERROR", "does-not-apply.patch does not apply"),
        "no-such-test": ("ERROR", "the tests are not there, or cannot be imported"),
        "nothing-selected": ("ERROR", "no test is selected"),
        "cannot-be-imported": ("ERROR", "the tests cannot be imported"),
        "fixture": ("ERROR", "no test failed, but a fixture"),
    }
    assert "2 of 9 killed" in output
    assert (repository.root / "cyborg/value.py").read_text() == "VALUE = 1\n"


def test_all_killed(repository: Repository) -> None:
    repository.mutation("one", "::test_value")
    repository.mutation("two", "::test_value_of_a_child", "::test_what_is_not_installed")
    repository.mutation("three", "::test_that_fails")
    status, output = repository.run("one", "two")
    assert status == 0, output
    assert "2 of 2 killed" in output


def test_tests_that_fail_anyway_show_nothing(repository: Repository) -> None:
    repository.mutation("one", "::test_value")
    repository.mutation("another", "::test_that_fails")
    status, output = repository.run()
    assert status == 2
    assert "the tests do not pass on the unchanged tree" in output
    assert "FAILED test_value.py::test_that_fails" in output
    assert repository.verdicts(output) == {}


def test_a_test_that_hangs_is_no_failure(repository: Repository) -> None:
    repository.mutation("hangs", "::test_that_waits")
    status, output = repository.run("--no-baseline", "--limit", "5")
    assert status == 1
    assert repository.verdicts(output) == {"hangs": ("ERROR", "not done after 5 s")}
    wait_for("the end of the test's processes", lambda: not running(repository))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_stays_behind_when_it_is_stopped(repository: Repository, number: int) -> None:
    repository.mutation("waits", "::test_that_waits")
    process = repository.start("--no-baseline")
    wait_for("the test", lambda: repository.pids.exists() and repository.pids.read_text())
    assert len(running(repository)) == 2
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    wait_for("the end of the test's processes", lambda: not running(repository))
    assert list(repository.temporary.iterdir()) == [repository.pids]


def running(repository: Repository) -> list[str]:
    """Return which of the processes of a test that waits have not ended."""
    return [pid for pid in repository.pids.read_text().split() if state_of(int(pid)) not in "ZX"]


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("", "no header"),
        ("Tests: a.py\n", "one 'Promise:'"),
        ("Promise: a\nPromise: b\nTests: a.py\n", "one 'Promise:'"),
        ("Promise: a\n", "at least one 'Tests:'"),
        ("Promise: a\nTest: a.py\n", "not 'Promise: …', 'Tests: …' or 'Seed: …': 'Test: a.py'"),
        ("Promise: a\nTests: a.py\nSeed: one\n", "'Seed:' is one whole number"),
        ("Promise: a\nTests: -k a\n", "paths, nodes and one -k, not '-k a'"),
        ("Promise: a\nTests: a.py --lf\n", "paths, nodes and one -k, not 'a.py --lf'"),
        ("Promise: a\nTests: a.py -k 'b\n", "paths, nodes and one -k"),
    ],
)
def test_a_header_that_is_none(repository: Repository, header: str, complaint: str) -> None:
    repository.write("tools/mutations/one.patch", header + DIFF.lstrip())
    status, output = repository.run("--list")
    assert status == 2
    assert output.splitlines()[-1].startswith("one.patch: ")
    assert complaint in output


def test_one_that_is_not_there(repository: Repository) -> None:
    assert repository.run("one") == (2, "no such mutation: one\n")


def ours(*arguments: str) -> str:
    """Do something with our own mutations."""
    done = subprocess.run(
        [sys.executable, TOP / "tools/mutations/run.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ours_apply() -> None:
    """Whoever changes what one of them changes moves it along."""
    ours("--check")


def test_some_of_ours_are_killed() -> None:
    """All of them: make mutations."""
    assert "2 of 2 killed" in ours("--no-baseline", "one-edge-more", "owned-handle-is-taken")
