"""cyborg-manage bootstrap, against a real Keystone to which this service is new."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openstack
import pytest

from cyborg.cmd.bootstrap import Bootstrap, Catalogue, ServiceUser
from cyborg.tests.functional.processes.harness import COMMANDS, free_port
from cyborg.tests.servers import Keystone, ServerError
from cyborg.tests.servers.keystone import PASSWORD, REGION
from cyborg.tests.servers.plugin import require
from cyborg.version import version

COMMAND = COMMANDS / "cyborg-manage"
URL = "http://192.0.2.10:6666/v2"
INNER_URL = "http://10.0.0.10:6666/v2"
URLS = ("--public-url", URL, "--internal-url", INNER_URL)
ALL = ("--service", "--region", REGION, *URLS, "--service-user")
#: Nothing of this machine's clouds.
NOBODY = {"PATH": os.environ["PATH"], "HOME": "/"}
VARIABLE = {"CYBORG_SERVICE_PASSWORD": PASSWORD}

ROLES = [
    "role accelerator_user",
    "role accelerator_admin",
    "role accelerator_admin implies accelerator_user",
]
SERVICE = [
    "service cyborg of type accelerator",
    f"region {REGION}",
    f"public endpoint in {REGION}, {URL}",
    f"internal endpoint in {REGION}, {INNER_URL}",
]
USER = [
    "project service",
    "user cyborg",
    "role service",
    "role admin of cyborg in project service",
    "role service of cyborg in project service",
]
#: These Keystone has by itself.
BEFORE = {f"region {REGION}", "role service"}

#: In the order in which they can be deleted.
KINDS = ("service", "region", "user", "role", "project")


@pytest.fixture(scope="module")
def fresh_keystone() -> Iterator[Keystone]:
    """A Keystone in which nobody has made anything."""
    require(Keystone)
    with Keystone() as server:
        yield server


@pytest.fixture
def bare(fresh_keystone: Keystone) -> Iterator[Keystone]:
    """The same for each test."""
    fresh_keystone.start()
    before = {kind: ids(fresh_keystone, kind) for kind in KINDS}
    fresh_keystone.forget_requests()
    yield fresh_keystone
    fresh_keystone.start()
    for kind in KINDS:
        for one in ids(fresh_keystone, kind) - before[kind]:
            fresh_keystone.ask("DELETE", f"/{kind}s/{one}")


def listed(keystone: Keystone, kind: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = keystone.ask("GET", f"/{kind}s?{query}").json()[f"{kind}s"]
    return found


def ids(keystone: Keystone, kind: str) -> set[str]:
    return {one["id"] for one in listed(keystone, kind)}


def id_of(keystone: Keystone, kind: str, name: str) -> str:
    [found] = listed(keystone, kind, f"name={name}")
    return str(found["id"])


def variables(keystone: Keystone, **changes: str) -> dict[str, str]:
    """Return an environment for the administrator, without what this machine may have of it."""
    values = {**keystone.credentials("admin"), **changes}
    return {**NOBODY, **{f"OS_{key.upper()}": value for key, value in values.items()}}


def run(
    cwd: Path, environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env=dict(environment),
        check=False,
    )
    assert PASSWORD not in done.stdout + done.stderr
    return done


def bootstrap(keystone: Keystone, cwd: Path, *arguments: str, **more: str) -> list[str]:
    """Run it as the administrator, successfully; return what it says."""
    done = run(cwd, {**variables(keystone), **more}, "bootstrap", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def said(verb: str, *things: list[str]) -> list[str]:
    return [f"{verb}: {thing}" for part in things for thing in part]


def made(*things: list[str]) -> list[str]:
    """Return what is said where nothing was, but what Keystone has by itself."""
    each = [thing for part in things for thing in part]
    return [f"{'exists' if thing in BEFORE else 'created'}: {thing}" for thing in each]


def refused(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Return the one line about a failure."""
    assert done.returncode == status, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("cyborg-manage")
    return line


def writes(keystone: Keystone) -> list[tuple[str, str]]:
    """Return what was asked to be changed since the start of the test."""
    return [
        (one.method, one.path)
        for one in keystone.requests()
        if one.method not in ("GET", "HEAD") and one.path != "/v3/auth/tokens"
    ]


def roles_in(keystone: Keystone, user: str, project: str) -> set[str]:
    headers = {"X-Subject-Token": keystone.token(user, project)}
    answer = keystone.ask("GET", "/auth/tokens", headers=headers)
    return {role["name"] for role in answer.json()["token"]["roles"]}


def test_everything_is_made_once(bare: Keystone, tmp_path: Path) -> None:
    lines = bootstrap(bare, tmp_path, *ALL, **VARIABLE)
    assert lines == made(ROLES, SERVICE, USER)
    [service] = listed(bare, "service", "type=accelerator")
    assert (service["name"], service["enabled"]) == ("cyborg", True)
    assert service["description"]
    endpoints = listed(bare, "endpoint", f"service_id={service['id']}")
    assert {(one["interface"], one["region_id"], one["url"]) for one in endpoints} == {
        ("public", REGION, URL),
        ("internal", REGION, INNER_URL),
    }
    assert roles_in(bare, "cyborg", "service") >= {"admin", "service"}

    bare.forget_requests()
    assert bootstrap(bare, tmp_path, *ALL) == said("exists", ROLES, SERVICE, USER)
    assert writes(bare) == []
    assert list(tmp_path.iterdir()) == []


def test_only_the_roles_unless_more_is_asked_for(bare: Keystone, tmp_path: Path) -> None:
    assert bootstrap(bare, tmp_path) == made(ROLES)
    assert [path.split("/")[2] for _, path in writes(bare)] == ["roles"] * 3


def test_an_accelerator_admin_is_an_accelerator_user(bare: Keystone, tmp_path: Path) -> None:
    bootstrap(bare, tmp_path)
    for name in ("accelerator_admin", "accelerator_user"):
        user = {"name": f"only-{name}", "domain_id": "default", "password": PASSWORD}
        bare.ask("POST", "/users", {"user": user})
        path = f"/projects/{id_of(bare, 'project', 'admin')}/users/"
        path += f"{id_of(bare, 'user', user['name'])}/roles/{id_of(bare, 'role', name)}"
        bare.ask("PUT", path)
    both = {"accelerator_admin", "accelerator_user"}
    assert roles_in(bare, "only-accelerator_admin", "admin") == both
    assert roles_in(bare, "only-accelerator_user", "admin") == {"accelerator_user"}


def test_a_dry_run_only_looks(bare: Keystone, tmp_path: Path) -> None:
    lines = bootstrap(bare, tmp_path, *ALL, "--dry-run")
    assert lines == [line.replace("created", "would create") for line in made(ROLES, SERVICE, USER)]
    bootstrap(bare, tmp_path, *ALL[:-1])
    bare.forget_requests()
    lines = bootstrap(bare, tmp_path, "--public-url", INNER_URL, "--dry-run", "--region", REGION)
    assert lines[-1] == f"would update: public endpoint in {REGION}, {INNER_URL}"
    assert lines[:-1] == said("exists", ROLES, SERVICE[:2])
    assert writes(bare) == []


def test_what_is_missing_is_completed(bare: Keystone, tmp_path: Path) -> None:
    bootstrap(bare, tmp_path, *ALL, **VARIABLE)
    admin, user = (id_of(bare, "role", f"accelerator_{name}") for name in ("admin", "user"))
    cyborg, project = id_of(bare, "user", "cyborg"), id_of(bare, "project", "service")
    service = id_of(bare, "service", "cyborg")
    [public] = listed(bare, "endpoint", f"service_id={service}&interface=public")
    grant = f"/projects/{project}/users/{cyborg}/roles/{id_of(bare, 'role', 'service')}"
    for path, missing in (
        (f"/roles/{admin}/implies/{user}", [ROLES[2]]),
        (f"/endpoints/{public['id']}", [SERVICE[2]]),
        (f"/services/{service}", [SERVICE[0], *SERVICE[2:]]),
        (grant, [USER[4]]),
        (f"/users/{cyborg}", [USER[1], *USER[3:]]),
        (f"/roles/{user}", [ROLES[0], ROLES[2]]),
    ):
        bare.ask("DELETE", path)
        lines = bootstrap(bare, tmp_path, *ALL, **VARIABLE)
        assert [line for line in lines if not line.startswith("exists: ")] == said(
            "created", missing
        )
    assert roles_in(bare, "cyborg", "service") >= {"admin", "service"}


def test_an_endpoint_that_has_moved_is_changed(bare: Keystone, tmp_path: Path) -> None:
    there = ("--region", "RegionTwo", "--public-url", "http://two:6666/v2")
    bootstrap(bare, tmp_path, *ALL[:-1])
    assert bootstrap(bare, tmp_path, *there)[-2:] == [
        "created: region RegionTwo",
        "created: public endpoint in RegionTwo, http://two:6666/v2",
    ]
    bare.forget_requests()
    lines = bootstrap(bare, tmp_path, "--public-url", "https://one/v2", "--region", REGION)
    assert lines[-1] == f"updated: public endpoint in {REGION}, https://one/v2"
    assert [method for method, _ in writes(bare)] == ["PATCH"]
    service = id_of(bare, "service", "cyborg")
    found = listed(bare, "endpoint", f"service_id={service}")
    assert {(one["interface"], one["region_id"], one["url"]) for one in found} == {
        ("public", REGION, "https://one/v2"),
        ("internal", REGION, INNER_URL),
        ("public", "RegionTwo", "http://two:6666/v2"),
    }


def test_the_region_is_the_clouds(bare: Keystone, tmp_path: Path) -> None:
    refused(run(tmp_path, variables(bare), "bootstrap", *URLS), status=2)
    assert writes(bare) == []
    lines = bootstrap(bare, tmp_path, *URLS, OS_REGION_NAME=REGION)
    assert lines[-4:] == made(SERVICE)


def test_what_an_administrator_has_changed_stays(bare: Keystone, tmp_path: Path) -> None:
    service = {"name": "accelerators", "type": "accelerator", "enabled": False}
    bare.ask("POST", "/services", {"service": service})
    lines = bootstrap(bare, tmp_path, "--service")
    assert lines[-1] == f"exists: {SERVICE[0]} (disabled)"
    assert [one["name"] for one in listed(bare, "service", "type=accelerator")] == ["accelerators"]


@pytest.mark.parametrize("kind", ["service", "endpoint"])
def test_among_several_none_is_chosen(bare: Keystone, tmp_path: Path, kind: str) -> None:
    bootstrap(bare, tmp_path, *ALL[:-1])
    service = id_of(bare, "service", "cyborg")
    again: dict[str, object] = {"name": "cyborg", "type": "accelerator"}
    if kind == "endpoint":
        again = {"service_id": service, "interface": "public", "region_id": REGION, "url": URL}
    second = bare.ask("POST", f"/{kind}s", {kind: again}).json()[kind]["id"]
    bare.forget_requests()
    line = refused(run(tmp_path, variables(bare), "bootstrap", *ALL[:-1]))
    assert "there are 2" in line
    assert writes(bare) == []
    if kind == "service":
        bare.ask("PATCH", f"/services/{second}", {"service": {"name": "of another"}})
        assert bootstrap(bare, tmp_path, *ALL[:-1]) == said("exists", ROLES, SERVICE)


def test_a_password_is_changed_only_when_asked(bare: Keystone, tmp_path: Path) -> None:
    file = tmp_path / "password"
    bootstrap(bare, tmp_path, "--service-user", **VARIABLE)
    file.write_text("another one\n")
    bootstrap(bare, tmp_path, "--service-user", "--password-file", str(file))
    assert bare.token("cyborg", "service")
    arguments = ("--service-user", "--password-file", str(file), "--update-password")
    lines = bootstrap(bare, tmp_path, *arguments, "--dry-run")
    assert "would update: password of user cyborg" in lines
    assert bare.token("cyborg", "service")
    assert "updated: password of user cyborg" in bootstrap(bare, tmp_path, *arguments)
    with pytest.raises(ServerError, match="401"):
        bare.token("cyborg", "service")
    bootstrap(bare, tmp_path, "--service-user", "--update-password", **VARIABLE)
    assert bare.token("cyborg", "service")


def test_without_a_password_no_user(bare: Keystone, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for option in ((), ("--password-file", "empty"), ("--password-file", "none")):
        done = run(tmp_path, variables(bare), "bootstrap", "--service-user", *option)
        assert "password" in refused(done, status=2)
    assert [one["name"] for one in listed(bare, "user")] == ["admin"]
    lines = bootstrap(bare, tmp_path, "--service-user", "accelerators", **VARIABLE)
    assert "created: user accelerators" in lines
    assert "created: project service" not in lines, "it was made before"


def test_a_password_is_asked_for_at_a_terminal(bare: Keystone, tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        arguments = [str(COMMAND), "bootstrap", "--service-user"]
        os.execve(COMMAND, arguments, variables(bare))  # noqa: S606 -- no shell is needed
    shown = b""
    for question in (b"Password of the service user: ", b"Once more: "):
        while question not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, PASSWORD.encode() + b"\n")
    try:
        while more := os.read(terminal, 1000):
            shown += more
    except OSError:  # that is how a terminal says that nobody is there any more
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert PASSWORD.encode() not in shown
    assert bare.token("cyborg", "service")


def test_the_cloud_may_be_named(bare: Keystone, tmp_path: Path) -> None:
    auth = {k: v for k, v in bare.credentials("admin").items() if k != "auth_type"}
    lines = [f"      {key}: {value}" for key, value in auth.items()]
    text = "\n".join(["clouds:", "  ours:", f"    region_name: {REGION}", "    auth:", *lines])
    (tmp_path / "clouds.yaml").write_text(text + "\n")
    done = run(tmp_path, NOBODY, "bootstrap", "--os-cloud", "ours", "--public-url", URL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == made(ROLES, SERVICE[:3])
    done = run(tmp_path, NOBODY, "bootstrap", "--os-cloud", "theirs")
    assert "theirs" in refused(done, status=2)
    none = tmp_path / "none"
    none.mkdir()
    assert "auth_url" in refused(run(none, NOBODY, "bootstrap"), status=2)
    (tmp_path / "clouds.yaml").write_text("clouds: {ours: {auth: 5}}\n")
    refused(run(tmp_path, NOBODY, "bootstrap", "--os-cloud", "ours"), status=2)


def test_trouble_is_one_line(bare: Keystone, tmp_path: Path) -> None:
    wrong = run(tmp_path, {**variables(bare), "OS_PASSWORD": "another"}, "bootstrap")
    assert "credentials" in refused(wrong)
    nowhere = f"http://127.0.0.1:{free_port()}/v3"
    silent = run(tmp_path, variables(bare, auth_url=nowhere), "bootstrap")
    assert "cannot be reached" in refused(silent)
    domain = run(
        tmp_path,
        {**variables(bare), **VARIABLE},
        *("bootstrap", "--service-user", "--service-domain", "elsewhere"),
    )
    assert "no domain elsewhere" in refused(domain)
    bare.kill()
    dead = run(tmp_path, variables(bare), "bootstrap")
    assert "cannot be reached" in refused(dead)


def test_who_is_no_administrator_makes_nothing(bare: Keystone, tmp_path: Path) -> None:
    user = {"name": "somebody", "domain_id": "default", "password": PASSWORD}
    bare.ask("POST", "/users", {"user": user})
    path = f"/projects/{id_of(bare, 'project', 'admin')}/users/"
    path += f"{id_of(bare, 'user', 'somebody')}/roles/{id_of(bare, 'role', 'member')}"
    bare.ask("PUT", path)
    done = run(tmp_path, variables(bare, username="somebody"), "bootstrap", *ALL)
    assert "administrator is needed" in refused(done)
    assert writes(bare) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--no-such-option",),
        ("bootstrap", "--no-such-option"),
        ("bootstrap", "--public-url", "host:6666/v2"),
        ("bootstrap", "--update-password"),
        ("bootstrap", "--os-auth-type", "invented"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, NOBODY, *arguments)
    refused(done, status=2)
    assert done.stdout == ""


def test_version_and_help(tmp_path: Path) -> None:
    environment = {**NOBODY, "OS_CLOUD": "which-does-not-exist"}
    done = run(tmp_path, environment, "--version")
    assert (done.returncode, done.stdout) == (0, f"cyborg-manage {version()}\n")
    assert "bootstrap" in run(tmp_path, environment, "--help").stdout
    done = run(tmp_path, NOBODY, "bootstrap", "--help")
    assert done.returncode == 0
    assert {"--os-cloud", "--public-url", "--dry-run"} < set(done.stdout.split())


def test_two_at_the_same_time(bare: Keystone, tmp_path: Path) -> None:
    environment = {**variables(bare), **VARIABLE}
    both = [
        subprocess.Popen(
            [COMMAND, "bootstrap", *ALL], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    assert [one.wait(60) for one in both] == [0, 0]
    bare.forget_requests()
    assert bootstrap(bare, tmp_path, *ALL) == said("exists", ROLES, SERVICE, USER)
    assert len(listed(bare, "service", "type=accelerator")) == 1


class Overtaken:
    """Keystone's API for one who always has somebody before him, between his look and his act."""

    def __init__(self, identity: Any) -> None:
        self._identity = identity

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._identity, name)

        def twice(**attributes: Any) -> Any:
            ask(**attributes)
            return ask(**attributes)

        return twice if name.startswith("create_") else ask

    def request(self, path: str, method: str) -> Any:
        if method == "PUT":
            self._identity.request(path, method)
        return self._identity.request(path, method)


def test_what_somebody_else_makes_first_exists(bare: Keystone) -> None:
    auth = {k: v for k, v in bare.credentials("admin").items() if k != "auth_type"}
    with openstack.connect(auth=auth, load_envvars=False, load_yaml_config=False) as connection:
        lines: list[str] = []
        overtaken: Any = Overtaken(connection.identity)
        ours = Bootstrap(overtaken, lines.append, dry_run=False)
        ours.roles()
        ours.catalogue(Catalogue(REGION, {"public": URL, "internal": INNER_URL}))
        ours.service_user(ServiceUser("cyborg", "service", "default", lambda: PASSWORD, False))
    # Keystone does not tell who has granted a role.
    assert lines == said("exists", ROLES, SERVICE, USER[:3]) + said("created", USER[3:])
    assert 409 in {one.status for one in bare.requests()}
    [service] = listed(bare, "service", "type=accelerator")
    assert len(listed(bare, "endpoint", f"service_id={service['id']}")) == 2
