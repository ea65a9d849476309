"""Running the clients as their users do: as commands, with credentials in the environment.

A test says with :func:`covers` what of a client it uses, and the fixtures see to it that it did.
What a client has and no test covers is found by comparing.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from cyborg.tests.functional.processes.cloud import HOSTS, provider
from cyborg.tests.servers import Keystone
from cyborg.tests.servers.keystone import REGION

HOST = HOSTS[0]
PROVIDER = provider(HOST)
UNKNOWN = "00000000-0000-4000-8000-000000000000"

PATIENCE = 120
SCRIPTS = Path(__file__).parent / "scripts"

F = TypeVar("F", bound=Callable[..., object])


def covers(*names: str) -> Callable[[F], F]:
    """Say what of the client a test uses."""

    def decorate(function: F) -> F:
        function.__dict__["covers"] = names
        return function

    return decorate


def covered_by(function: object) -> set[str]:
    """Return what a test says that it uses."""
    return set(getattr(function, "covers", ()))


def covered_in(module: ModuleType) -> set[str]:
    """Return what the tests of a module say that they use."""
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    return set().union(*map(covered_by, tests))


def credentials(keystone: Keystone, user: str) -> dict[str, str]:
    """Return the environment in which the clients act as a user."""
    values = keystone.credentials(user)
    names = ("auth_url", "username", "password", "project_name")
    domains = ("user_domain_name", "project_domain_name")
    return {f"OS_{name.upper()}": values[name] for name in (*names, *domains)} | {
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
    }


def run(
    program: str,
    *arguments: str,
    home: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing inherited but PATH, so that nobody's settings redirect it."""
    return subprocess.run(
        [program, *arguments],
        cwd=home,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


@dataclass(frozen=True)
class CommandLine:
    """An ``openstack`` command."""

    program: str
    home: Path
    keystone: Keystone
    user: str = "admin"
    options: tuple[str, ...] = ()
    #: The accelerator commands that were run, whoever ran them.
    ran: set[str] = field(default_factory=set)

    def as_user(self, user: str, *options: str) -> CommandLine:
        """Return the same for another user, with other global options."""
        return CommandLine(self.program, self.home, self.keystone, user, options, self.ran)

    def commands(self) -> list[str]:
        """Return the accelerator commands that the client has."""
        shown = run(self.program, "accelerator", "--help", home=self.home).stdout
        lines = [line.strip() for line in shown.splitlines()]
        prefix = "accelerator "
        return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]

    def try_(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an accelerator command, whatever comes of it."""
        self.ran.add(command)
        environment = credentials(self.keystone, self.user)
        all_arguments = (*self.options, "accelerator", *command.split(), *arguments)
        return run(self.program, *all_arguments, home=self.home, environment=environment)

    def do(self, command: str, *arguments: str) -> str:
        """Run an accelerator command that must succeed; return what it prints."""
        done = self.try_(command, *arguments)
        assert done.returncode == 0, (command, arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, command: str, *arguments: str) -> Any:
        """Run an accelerator command that must succeed; return what it shows."""
        return json.loads(self.do(command, *arguments, "-f", "json"))

    def refused(self, command: str, *arguments: str) -> str:
        """Run an accelerator command that must fail; return what it tells the user."""
        done = self.try_(command, *arguments)
        assert done.returncode != 0, (command, arguments, done.stdout)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr


@dataclass(frozen=True)
class Scripts:
    """Scripts that run inside the clients' environment, one function of a script at a time."""

    python: str
    home: Path
    used: set[str] = field(default_factory=set)

    def call(
        self, script: str, function: str, values: Any, environment: Mapping[str, str] | None = None
    ) -> Any:
        """Call a function of a script with JSON values in another process; return its answer.

        An assertion that fails there is one that fails here.
        """
        arguments = (str(SCRIPTS / "call.py"), script, function, json.dumps(values))
        done = run(self.python, "-I", *arguments, home=self.home, environment=environment)
        assert done.returncode == 0, f"{script} {function}:\n{done.stdout}\n{done.stderr}"
        answer = json.loads(done.stdout.splitlines()[-1])
        self.used.update(answer["used"])
        return answer["result"]


def check_coverage(has: Iterable[str], covered: set[str], broken: Mapping[str, str]) -> None:
    """Compare what a client has with what the tests cover and what it breaks itself."""
    has = set(has)
    assert has, "the client was not asked"
    assert has - covered - set(broken) == set(), "no test covers these"
    assert covered - has == set(), "the client has no such thing"
    assert set(broken) <= has, "the client no longer has these"
    assert not set(broken) & covered, "covered, so not broken"
