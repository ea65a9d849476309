"""A database that commit d17129c left, with something in every state, is upgraded: nothing looks
different, and what was under way ends as it would have ended there.

The names are those of ``data/d17129c.py``, which says how each came to be where it is.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import comparing, events, finishing, leftovers, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import accelerator_requests, attach_handles, deployables, jobs, outbox
from cyborg.domain.clock import provider_uuid
from cyborg.domain.plain import to_plain
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    everything,
    held,
    let_run_out,
    rows,
    told,
)
from cyborg.tests.functional.db import frozen
from cyborg.tests.functional.in_process import ARQS, Service
from cyborg.tests.helpers import HOST, RecordingAgents
from cyborg.tests.servers import NovaStandIn, Placement, StandInServer

FROZEN = frozen.read("d17129c")
NAMES = FROZEN.names
NAME_OF = {uuid: name for name, uuid in NAMES.items()}
#: Those of agents: the conductor's own have nothing to send.
JOBS = {
    NAME_OF[job["subject"].partition("/")[2]]: job for job in FROZEN.rows["jobs"] if job["payload"]
}

#: What the upgrade stores otherwise: state and suspicion.
STORED = {
    "in grace": ("Bound", "grace"),
    "over grace": ("Bound", "grace"),
    "doubtful": ("Bound", "doubtful"),
    "direct, in grace": ("Bound", "grace"),
    "deleting, in grace": ("Deleting", "grace"),
    "failing": ("BindFailing", "none"),
    "failing, patience is over": ("BindFailing", "none"),
    "unbinding": ("Unbinding", "none"),
    "unbinding, failed once": ("Unbinding", "none"),
    "unbinding, in grace": ("Unbinding", "grace"),
    "unbinding, Placement was down": ("Unbinding", "none"),
    "unbinding what was starting": ("BindCancelling", "none"),
    "unbinding what was failing": ("BindCancelling", "none"),
    "unbinding what had failed": ("BindClearing", "none"),
    "unbinding once more": ("UnbindRetrying", "none"),
}

#: Deployables of which that release counted handles as free that nobody could get: they are
#: disabled, missing, being programmed, or of a content that nobody knows.
WITHHELD = {"fetched", "half", "half-overdue", "late", "lost", "off", "written"}

GONE = "gone"

#: How the work about an ARQ ends, as users see it: when its agent can do it, and when not.
ENDS = {
    "starting": ("Bound", "BindStarted"),
    "starting, failed once": ("Bound", "BindStarted"),
    "starting, nobody answered": ("Bound", "BindStarted"),
    "starting, too late": ("BindStarted", "BindStarted"),
    "unbinding": ("Unbound", "UnbindFailed"),
    "unbinding, failed once": ("Unbound", "UnbindFailed"),
    "unbinding, in grace": ("Unbound", "UnbindFailed"),
    "unbinding, Placement was down": ("Unbound", "UnbindFailed"),
    "unbinding what was starting": ("Unbound", "BindFailed"),
    "unbinding what was failing": ("Unbound", "BindFailed"),
    "unbinding what had failed": ("Unbound", "BindFailed"),
    "unbinding once more": ("Unbound", "UnbindFailed"),
    "deleting": (GONE, GONE),
    "deleting, failed once": (GONE, GONE),
    "deleting, in grace": (GONE, GONE),
    "deleting what was starting": (GONE, GONE),
    "deleting what was failing": (GONE, GONE),
}

#: How a programming ends, and whether what the deployable holds is unknown then.
PROGRAMMINGS = {
    "fetched": (("programmed", False), ("failed", False)),
    "written": (("programmed", False), ("failed", True)),
    "late": (("failed", False), ("failed", False)),
}

STARTING = ("starting", "starting, failed once", "starting, nobody answered")
TOO_LATE = ("starting, too late", "late")
FAILING = ("failing", "failing, patience is over")


@pytest.fixture
def database(empty: Database) -> Database:
    """The database of d17129c, upgraded: what ``env`` and its like work with here."""
    FROZEN.load(empty.engine)
    schema.upgrade(empty.engine)
    return empty


@pytest.fixture
def nova(nova: NovaStandIn) -> NovaStandIn:
    """Nova, which knows every instance but those of ARQs that were left over."""
    for row in FROZEN.rows["accelerator_requests"]:
        if "instance_uuid" in row and "grace" not in NAME_OF[row["uuid"]]:
            nova.servers[row["instance_uuid"]] = StandInServer(PROJECT, HOST)
    return nova


def at_work(env: Environment) -> list[sa.Row[Any]]:
    """Return the jobs of agents."""
    return [job for job in rows(env, jobs) if job.kind in ("prepare", "release", "program")]


def end_all(env: Environment, error: str | None) -> None:
    """End what is too late; then let each agent answer until nothing is under way."""
    finishing.sweep(env)
    while under_way := at_work(env):
        for job in under_way:
            finishing.finish(env, HOST, job.uuid, job.generation, error)


def shown(env: Environment) -> dict[str, str]:
    """Return the states that users see, by the names of the ARQs."""
    found = Service(env).ask("GET", ARQS).json["arqs"]
    return {NAME_OF[arq["uuid"]]: arq["state"] for arq in found}


def shown_after(end: int) -> dict[str, str]:
    """Return what users should see when all work has ended so."""
    before = {NAME_OF[arq["uuid"]]: arq["state"] for arq in FROZEN.answers[ARQS]["arqs"]}
    after = {**before, **{name: ends[end] for name, ends in ENDS.items()}}
    return {name: state for name, state in after.items() if state != GONE}


def programmings(env: Environment) -> dict[str, tuple[str, bool]]:
    found = {NAME_OF.get(row.uuid): row for row in rows(env, deployables)}
    return {
        name: (found[name].programming_state, found[name].content_unknown) for name in PROGRAMMINGS
    }


def quarantined(env: Environment) -> int:
    return [handle.condition for handle in rows(env, attach_handles)].count("quarantined")


def work_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the work, in its plain form, that a job of d17129c means."""
    old = json.loads(job["payload"])
    place = {"device": old["device"], "deployable": old["deployable"]}
    if job["kind"] == "program":
        step = {
            "region": {**place, "control_path": old["control_path"]},
            "image_uuid": old["image_uuid"],
            "project_id": old["project_id"],
        }
    else:
        handle = {name: old[f"handle_{name}"] for name in ("uuid", "type", "info")}
        step = {"handle": {**place, **handle}}
        if job["kind"] == "prepare":
            step["group"] = old["group"]
    return {
        "job_uuid": job["uuid"],
        "generation": job["generation"] + 1,
        "kind": job["kind"],
        "driver": old["driver"],
        "device": old["device"],
        "steps": [{"step": job["kind"], **step}],
    }


def test_there_is_something_in_every_state() -> None:
    states = {row["state"] for row in FROZEN.rows["accelerator_requests"]}
    unstable = {"BindStarted", "BindFailed", "UnbindFailed", "Deleting"}
    assert states == {"Initial", "Bound", "Unbound"} | unstable
    assert JOBS.keys() == {*ENDS, *PROGRAMMINGS}


def test_nothing_looks_different(env: Environment) -> None:
    found, before = frozen.answers(env), counted_as_now(FROZEN.answers)
    assert found.keys() == before.keys()
    assert {path: found[path] for path in found if found[path] != before[path]} == {}
    assert frozen.providers(env) == FROZEN.providers


def counted_as_now(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was answered, but that nothing is free of what nobody gets."""
    said = copy.deepcopy(dict(answers))
    parts = said["/v2/deployables"]["deployables"]
    withheld = [part for part in parts if part["name"].removeprefix(f"{HOST}_") in WITHHELD]
    assert len(withheld) == len(WITHHELD)
    owners = {part["device_uuid"] for part in withheld}
    cards = [card for card in said["/v2/devices"]["devices"] if card["uuid"] in owners]
    for each in (*withheld, *cards):
        each["usage"]["free"] = 0
    return said


def test_what_is_stored(env: Environment) -> None:
    found = {NAME_OF[row.uuid]: row for row in rows(env, accelerator_requests)}
    before = {
        NAME_OF[row["uuid"]]: (row["state"], "none") for row in FROZEN.rows["accelerator_requests"]
    }
    stored = {name: (row.state, row.suspicion) for name, row in found.items()}
    assert stored == before | STORED
    since = {name for name, row in found.items() if row.leftover_since is not None}
    assert since == {name for name, (_, suspicion) in STORED.items() if suspicion == "grace"}
    everywhere = everything(env)
    schema.upgrade(env.database.engine)
    assert everything(env) == everywhere


def test_all_work_is_sent_again(env: Environment, agents: RecordingAgents) -> None:
    """The same work, as the next attempt, in the form of this release; and it may begin."""
    let_run_out(env, jobs)
    finishing.sweep(env)
    sent = {work.job_uuid: (host, to_plain(work)) for host, work in agents.sent}
    assert len(agents.sent) == len(sent)
    assert sent == {
        job["uuid"]: (HOST, work_of(job)) for name, job in JOBS.items() if name not in TOO_LATE
    }
    for host, work in agents.sent:
        assert finishing.begin(env, host, work.job_uuid, work.generation, 0)


@pytest.mark.parametrize("again", [False, True], ids=["begun before", "sent again"])
def test_work_that_succeeds(nova_env: Environment, nova: NovaStandIn, again: bool) -> None:
    if again:
        let_run_out(nova_env, jobs)
    end_all(nova_env, None)
    assert shown(nova_env) == shown_after(0)
    assert programmings(nova_env) == {name: ends[0] for name, ends in PROGRAMMINGS.items()}
    completed = {(NAMES[name], "completed") for name in STARTING}
    assert set(told(nova)) == completed | {(NAMES["starting, too late"], "failed")}
    assert quarantined(nova_env) == 1

    releasing.delete(nova_env, [NAMES[name] for name in shown(nova_env)])
    end_all(nova_env, None)
    assert rows(nova_env, accelerator_requests) == rows(nova_env, outbox) == []
    assert held(nova_env) == 0


def test_work_that_fails(nova_env: Environment, nova: NovaStandIn) -> None:
    end_all(nova_env, "the card is stuck")
    assert shown(nova_env) == shown_after(1)
    assert programmings(nova_env) == {name: ends[1] for name, ends in PROGRAMMINGS.items()}
    failed = {*STARTING, "starting, too late"}
    assert set(told(nova)) == {(NAMES[name], "failed") for name in failed}
    assert quarantined(nova_env) == 1 + [ends[1] for ends in ENDS.values()].count(GONE)


def test_attempts_of_before_have_no_effect(env: Environment) -> None:
    def late(attempts: int) -> None:
        before = everything(env)
        for job in JOBS.values():
            generation = job["generation"] - attempts
            assert not finishing.begin(env, HOST, job["uuid"], generation, 0)
            for error in (None, "late"):
                finishing.finish(env, HOST, job["uuid"], generation, error)
        assert everything(env) == before

    late(1)
    let_run_out(env, jobs)
    finishing.sweep(env)
    late(0)


def test_nova_is_told_what_it_was_not(nova_env: Environment, nova: NovaStandIn) -> None:
    events.sweep(nova_env)
    failed = {(NAMES[name], "failed") for name in FAILING}
    assert set(told(nova)) == {(NAMES["untold"], "completed"), *failed}
    assert shown(nova_env)["failing"] == "BindStarted"
    assert shown(nova_env)["failing, patience is over"] == "BindFailed"

    nova.forget()
    let_run_out(nova_env, outbox)
    events.sweep(nova_env)
    assert told(nova) == [(NAMES["failing"], "failed")]
    let_run_out(nova_env, outbox, "deadline")
    events.sweep(nova_env)
    assert shown(nova_env)["failing"] == "BindFailed"
    assert rows(nova_env, outbox) == []


def test_placement_is_made_as_it_should_be(
    cloud_env: Environment, empty_placement: Placement
) -> None:
    for host in (HOST, "compute-2"):
        empty_placement.make_root(host)

    def require_published(expected: Mapping[str, Any]) -> None:
        for name, one in expected.items():
            found = empty_placement.inventories(provider_uuid(name))["FPGA"]
            reserved = one["unavailable"] if one["offered"] else one["total"]
            assert (name, found["total"], found["reserved"]) == (name, one["total"], reserved)

    comparing.compare(cloud_env)
    publish(cloud_env)
    assert rows(cloud_env, jobs) == at_work(cloud_env)
    require_published(FROZEN.providers)

    # What ends says by itself which providers Placement must hear of.
    end_all(cloud_env, None)
    after = frozen.providers(cloud_env)
    assert after != FROZEN.providers
    publish(cloud_env)
    require_published(after)


def test_the_look_for_what_is_left_over_goes_on(
    cloud_env: Environment, empty_placement: Placement, nova: NovaStandIn
) -> None:
    empty_placement.make_root(HOST)
    comparing.compare(cloud_env)
    publish(cloud_env)

    def look(grace: int) -> set[str]:
        """Return what is released."""
        cloud_env.conf.set_override("leftover_grace_period", grace, "conductor")
        before = shown(cloud_env)
        leftovers.compare(cloud_env)
        return before.keys() - shown(cloud_env).keys()

    assert look(600) == {"over grace"}
    assert look(30) == {"in grace"}
    # Its server has been on its host until now: the grace period begins only here.
    [doubtful] = [
        row for row in rows(cloud_env, accelerator_requests) if row.uuid == NAMES["doubtful"]
    ]
    del nova.servers[doubtful.instance_uuid]
    assert look(30) == set()
    let_run_out(cloud_env, accelerator_requests, "leftover_since")
    assert "doubtful" in look(1)
    assert "direct, in grace" in shown(cloud_env)


def publish(env: Environment) -> None:
    """Let Placement hear of what it must, what has failed before included."""
    let_run_out(env, jobs)
    while providers.sweep(env):
        pass
