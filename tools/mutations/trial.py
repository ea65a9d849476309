"""Trying mutations: a copy of the working tree, the patch, and pytest in it."""

from __future__ import annotations

import contextlib
import enum
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutation import Mutation, Selection, Unusable, together

PACKAGE = "cyborg"

#: Seconds that all the tests of a baseline have.
BASELINE_LIMIT = 900
#: Seconds that pytest has to end its servers when it is told to stop.
GRACE = 20

#: What the model of hardware is, where it is fastest.
MODEL = Selection(
    ("cyborg/tests/functional/conductor/hardware_model/test_hardware_model.py",), "sqlite"
)

_TAIL_LINES = 40
_FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
_SUMMARY = "short test summary info"
#: Why there is no verdict, by pytest's exit status.
_REASONS = {
    1: "no test failed, but a fixture",
    2: "the tests cannot be imported",
    4: "the tests are not there, or cannot be imported",
    5: "no test is selected",
}


class Verdict(enum.StrEnum):
    """What came of a mutation."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a mutation, and why: the test that failed, or what went wrong."""

    mutation: Mutation
    verdict: Verdict
    reason: str
    details: str
    seconds: float


class Processes:
    """The processes that run, so that all can be ended at once. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self, command: Sequence[str], folder: Path, environment: dict[str, str], limit: float
    ) -> tuple[int, str]:
        """Run a command in a process group of its own; return its exit status and output.

        :raises Unusable: if it is not done within the limit, or everything is being stopped.
        """
        # No pipe: a process that outlives the command would keep it open.
        with tempfile.TemporaryFile() as output:
            with self._lock:
                if self._stopped:
                    raise Unusable("stopped")
                process = subprocess.Popen(  # noqa: S603 -- our own arguments
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                raise Unusable(f"not done after {limit:g} s") from None
            finally:
                if process.poll() is None:
                    _end([process])
                with self._lock:
                    self._running.discard(process)
            output.seek(0)
            return status, output.read().decode(errors="replace")

    def stop(self) -> None:
        """End all that run, and start no more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        _end(running)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Have pytest take down what it has started; then end what is still there."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Trials:
    """Copies of a working tree, in a folder, and tests in them."""

    def __init__(
        self, root: Path, folder: Path, processes: Processes, limit: float, steps: int | None = None
    ) -> None:
        """Begin with nothing copied.

        :param steps: of the model of hardware, which is to notice then; None: the named tests.
        """
        self._root = root
        self._folder = folder
        self._processes = processes
        self._limit = limit
        self._steps = steps

    def baseline(self, mutations: Sequence[Mutation], pool: ThreadPoolExecutor) -> None:
        """See that the named tests pass as the tree is.

        :raises Unusable: if one does not pass, or cannot run here.
        """
        tree = self._copy("unchanged")
        runs = [
            # With CI, what is not installed is a failure, and not skipped.
            pool.submit(self._pytest, tree, selection, BASELINE_LIMIT, {"CI": "true"})
            for selection in together(mutations)
        ]
        for run in runs:
            status, output = run.result()
            if status != 0:
                raise Unusable(f"the tests do not pass on the unchanged tree\n{_tail(output)}")

    def judge(self, mutation: Mutation) -> Result:
        """Try one mutation."""
        begun = time.monotonic()
        try:
            tree = self._copy(mutation.name)
            apply(mutation, tree)
            verdict, reason = self._test(tree, mutation)
            shutil.rmtree(tree, ignore_errors=True)
        except Unusable as error:
            verdict, reason = Verdict.ERROR, str(error)
        reason, _, details = reason.partition("\n")
        return Result(mutation, verdict, reason, details, time.monotonic() - begun)

    def _test(self, tree: Path, mutation: Mutation) -> tuple[Verdict, str]:
        if self._steps is not None:
            return self._test_by_model(tree, mutation)
        for selection in mutation.tests:
            status, output = self._pytest(tree, selection, self._limit, {})
            if status != 0:
                return Verdict.KILLED, _failure(status, output)
        return Verdict.SURVIVED, f"all its tests pass\n{_tail(output)}"

    def _test_by_model(self, tree: Path, mutation: Mutation) -> tuple[Verdict, str]:
        environment = {
            "CYBORG_TEST_HARDWARE_STEPS": str(self._steps),
            "CYBORG_TEST_HARDWARE_SEED": str(mutation.seed),
            # That it is found is enough; the shortest history takes long.
            "CYBORG_TEST_HARDWARE_SHRINK": "",
        }
        status, output = self._pytest(tree, MODEL, self._limit, environment)
        told = re.search(r"hardware model on .*", output)
        found = told[0] if told else ""
        if status == 1:
            return Verdict.KILLED, found
        return Verdict.SURVIVED, f"{found}\n{_tail(output)}"

    def _copy(self, name: str) -> Path:
        """Copy what git has or would add, as it is in the working tree."""
        files = _git(self._root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        tree = self._folder / name
        for file in filter(None, files.split("\0")):
            source, target = self._root / file, tree / file
            if source.is_file() or source.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        self._check_import(tree)
        return tree

    def _check_import(self, tree: Path) -> None:
        """See that it is the copy that every process imports, and not what is installed."""
        where = f"import importlib.util as u; print(u.find_spec({PACKAGE!r}).origin)"
        command = [sys.executable, "-c", where]
        _, found = self._processes.run(command, self._folder, self._environment(tree), self._limit)
        if found.strip() != str(tree / PACKAGE / "__init__.py"):
            raise Unusable(f"not the copy would be tested, but\n{found.strip()}")

    def _pytest(
        self, tree: Path, selection: Selection, limit: float, extra: dict[str, str]
    ) -> tuple[int, str]:
        temporary = tempfile.mkdtemp(dir=self._folder)
        options = ["-q", "-x", "-rfE", "-p", "no:cacheprovider", f"--basetemp={temporary}/pytest"]
        command = [sys.executable, "-m", "pytest", *options, *selection.arguments()]
        environment = {**self._environment(tree), **extra}
        return self._processes.run(command, tree, environment, limit)

    def _environment(self, tree: Path) -> dict[str, str]:
        # Without CI, a test that cannot run here is skipped: that is no failure of the code.
        inherited = {key: value for key, value in os.environ.items() if key != "CI"}
        # Where the tests find these, which git does not have.
        environments = {
            f"CYBORG_TEST_{name.upper()}": str(self._root / f".venv-{name}")
            for name in ("client", "openstack", "services")
        }
        return {**environments, **inherited, "PYTHONPATH": str(tree), "COLUMNS": "200"}


def apply(mutation: Mutation, tree: Path, *options: str) -> None:
    """Apply a mutation to a tree, exactly as it is written.

    :raises Unusable: if it does not apply.
    """
    try:
        _git(tree, "apply", "--whitespace=nowarn", *options, str(mutation.path))
    except Unusable as error:
        raise Unusable(f"{mutation.path.name} does not apply\n{error}") from error


def _git(folder: Path, *arguments: str) -> str:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    # Inside of another repository "git apply" would take paths to be from its top, and do nothing.
    environment = {**inherited, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(  # noqa: S603 -- our own arguments
        ["git", *arguments],  # noqa: S607 -- whichever git is installed
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Unusable(done.stderr.strip())
    return done.stdout


def _failure(status: int, output: str) -> str:
    """Return which test failed.

    :raises Unusable: if it was none, but pytest or a fixture.
    """
    failed = _FAILED.search(output.rpartition(_SUMMARY)[2])
    if status == 1 and failed:
        return failed[1]
    raise Unusable(f"{_REASONS.get(status, f'pytest ended with {status}')}\n{_tail(output)}")


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-_TAIL_LINES:])
