"""From any Python into the one of the small OpenStack, which is set up if it is not yet.

Standard library only: this runs before there is anything else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from commands import CommandFailed, interruptible, run, uninterrupted

REPOSITORY = Path(__file__).resolve().parents[2]
# Last, for proxy.py alone: what has the same name here counts here.
sys.path.append(str(REPOSITORY / "tools" / "chaos"))

#: Names of the stack's processes that ran before us, for the process that follows.
FOUND = "CYBORG_NOVA_FOUND"

_NO_STACK = 2


def enter(program: str) -> None:
    """Return if this is the stack's Python, in its environment; else become it."""
    if FOUND in os.environ:
        return
    scripts = _scripts()
    if scripts is None:
        print(
            "test-nova: set MINISTACK to the directory of ministack's scripts (setup.sh, start.sh)",
            file=sys.stderr,
        )
        raise SystemExit(_NO_STACK)
    if not (REPOSITORY / ".venv/bin/cyborg-conductor").exists():
        print("test-nova: .venv/bin/cyborg-conductor is missing: 'make test'", file=sys.stderr)
        raise SystemExit(_NO_STACK)
    interruptible()
    environment = _environment(scripts)
    found = running(Path(environment["MS_RUN"]))
    environment[FOUND] = " ".join(sorted(found))
    if not Path(environment["MS_STATE"], ".ready").exists():
        _set_up(scripts, environment, found)
    python = str(Path(environment["MS_VENV"], "bin", "python"))
    os.execve(python, [python, program, *sys.argv[1:]], environment)  # noqa: S606 -- no shell


def running(folder: Path) -> set[str]:
    """Return the names of the stack's processes that are alive now."""
    return {path.stem for path in folder.glob("*.pid") if _alive(path)}


def _alive(pidfile: Path) -> bool:
    # As the stack does: a pid alone may be somebody else's by now.
    try:
        pid, start = pidfile.read_text().split()
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19] == start
    except (OSError, ValueError, IndexError):
        return False


def _scripts() -> Path | None:
    named = os.environ.get("MINISTACK")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "ministack"
    return folder.resolve() if (folder / "env.sh").exists() else None


def _environment(scripts: Path) -> dict[str, str]:
    # All of its variables, not only those that it exports.
    script = 'set -a; . "$1/env.sh"; exec env -0'
    printed = run(["bash", "-c", script, "bash", str(scripts)]).stdout
    pairs = (entry.split("=", 1) for entry in printed.split("\0") if "=" in entry)
    return {name: value for name, value in pairs if not name.startswith("BASH_FUNC")}


def _set_up(scripts: Path, environment: dict[str, str], found: set[str]) -> None:
    print("test-nova: setting the stack up, once; this takes minutes", flush=True)
    try:
        with uninterrupted():
            run(["bash", str(scripts / "setup.sh")], env=environment, timeout=1800)
    except (CommandFailed, KeyboardInterrupt) as error:
        started = running(Path(environment["MS_RUN"])) - found
        if started:
            run(["bash", str(scripts / "stop.sh"), *sorted(started)], env=environment)
        raise SystemExit(f"test-nova: the stack is not set up: {error}") from error
