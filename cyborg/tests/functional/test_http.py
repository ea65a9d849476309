"""The API and the conductor's use cases together, over HTTP in this process, on each database.

Only the message queue between the two is left out: what crosses it is turned into JSON and
back. The statements that are counted are those of both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import finishing
from cyborg.conductor.environment import Environment
from cyborg.db.accelerator_requests import insert_requests
from cyborg.db.device_profiles import list_profiles
from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.in_process import ARQS, NAME, PROVIDER, Service
from cyborg.tests.helpers import RecordingAgents, deployable, device, report

#: The statements of a life of a device that needs nothing: create, bind with its event, read,
#: delete. Each bind and delete begins with the API's own read.
LIFE = {
    "create": ["SELECT device_profiles", "INSERT accelerator_requests"],
    "bind": [
        "SELECT accelerator_requests",
        "SELECT accelerator_requests",
        "SELECT deployables",
        "SELECT attach_handles",
        "UPDATE attach_handles",
        "UPDATE accelerator_requests",
        "INSERT outbox",
        "INSERT instance_owners",
    ],
    "read": ["SELECT accelerator_requests"],
    "delete": [
        "SELECT accelerator_requests",
        "SELECT accelerator_requests",
        "UPDATE attach_handles",
        "DELETE accelerator_requests",
    ],
}

#: The same of a device that is prepared and released. The agent asks before it does either.
WORK = {
    "bind": [
        "SELECT accelerator_requests",
        "SELECT accelerator_requests",
        "SELECT deployables",
        "SELECT attach_handles",
        "UPDATE attach_handles",
        "INSERT instance_owners",
        "UPDATE accelerator_requests",
        "INSERT jobs",
    ],
    "may prepare": ["SELECT jobs"],
    "prepared": [
        "SELECT jobs",
        "SELECT accelerator_requests",
        "SELECT jobs",
        "DELETE jobs",
        "UPDATE accelerator_requests",
        "INSERT outbox",
    ],
    "delete": [
        "SELECT accelerator_requests",
        "SELECT accelerator_requests",
        "UPDATE attach_handles",
        "SELECT attach_handles",
        "DELETE outbox",
        "UPDATE accelerator_requests",
        "INSERT jobs",
    ],
    "may release": ["SELECT jobs"],
    "released": [
        "SELECT jobs",
        "SELECT accelerator_requests",
        "SELECT jobs",
        "DELETE jobs",
        "UPDATE attach_handles",
        "DELETE accelerator_requests",
    ],
}


@pytest.fixture
def service(env: Environment) -> Iterator[Service]:
    """Sixteen handles, a profile of one FPGA and one of eight."""
    report(env, device("card", deployable(NAME, 16)))
    service = Service(env)
    for name, units in (("one", "1"), ("eight", "8")):
        body = [{"name": name, "groups": [{"resources:FPGA": units}]}]
        assert service.ask("POST", "/v2/device_profiles", body).status_int == 201
    yield service
    service.database.dispose()


def named(statements: list[str]) -> list[str]:
    """Return what each statement does to which table."""
    names = []
    for statement in statements:
        flat = " ".join(statement.split())
        while (outer := re.sub(r"\([^()]*\)", "", flat)) != flat:
            flat = outer
        # What only finds the rows is no table.
        flat = re.sub(r"FROM +AS \w+ (INNER )?JOIN", "FROM", flat)
        words = flat.replace("`", "").split()
        after = {"SELECT": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE", "DELETE": "FROM"}
        names.append(f"{words[0]} {words[words.index(after[words[0]]) + 1]}")
    return names


def life(service: Service, profile: str) -> dict[str, list[str]]:
    """Live through what Nova does at a boot and a delete; name the statements of each."""
    done: dict[str, list[str]] = {}
    instance = new_uuid()
    with service.counted() as statements:
        uuids = service.make(profile)
    done["create"] = named(statements)
    with service.counted() as statements:
        assert service.bind(uuids, instance_uuid=instance).status_int == 202
    done["bind"] = named(statements)
    with service.counted() as statements:
        arqs = service.ask("GET", f"{ARQS}?instance={instance}").json["arqs"]
    done["read"] = named(statements)
    assert [arq["state"] for arq in arqs] == ["Bound"] * len(uuids)
    assert len({arq["attach_handle_uuid"] for arq in arqs}) == len(uuids)
    with service.counted() as statements:
        assert service.ask("DELETE", f"{ARQS}?instance={instance}").status_int == 204
    done["delete"] = named(statements)
    assert service.ask("GET", f"{ARQS}?instance={instance}").json == {"arqs": []}
    return done


def fill(service: Service, rows: int) -> None:
    """Put so many other ARQs into the table."""

    def work(connection: sa.Connection) -> None:
        [profile] = list_profiles(connection, names=["one"])
        for start in range(0, rows, 500):
            insert_requests(
                connection,
                [
                    {
                        "uuid": new_uuid(),
                        "state": "Initial",
                        "device_profile_id": profile.id,
                        "device_profile_group_id": 0,
                        "group_json": "{}",
                        "project_id": "other",
                        "instance_uuid": new_uuid(),
                        "created_at": service.env.clock(),
                    }
                    for _ in range(min(500, rows - start))
                ],
            )

    service.env.database.run(work)


def test_the_statements_of_a_life_one_by_one(service: Service) -> None:
    service.queue.calls.clear()
    assert life(service, "one") == LIFE
    assert len(service.queue.calls) == 3, "one message a change, none to read"


def test_the_statements_of_preparation_and_release_one_by_one(
    service: Service, agents: RecordingAgents
) -> None:
    report(service.env, device("card", deployable(NAME, 16, needs_prepare=True)))
    instance = new_uuid()
    uuids = service.make()
    done: dict[str, list[str]] = {}
    with service.counted() as statements:
        assert service.bind(uuids, instance_uuid=instance).status_int == 202
    done["bind"] = named(statements)
    done["may prepare"], done["prepared"] = work(service, agents)
    with service.counted() as statements:
        assert service.ask("DELETE", f"{ARQS}?instance={instance}").status_int == 204
    done["delete"] = named(statements)
    done["may release"], done["released"] = work(service, agents)
    assert done == WORK
    assert len(agents.sent) == 2


def work(service: Service, agents: RecordingAgents) -> tuple[list[str], list[str]]:
    """Do the newest work as an agent does; name the statements of the question and the answer."""
    host, newest = agents.sent[-1]
    with service.counted() as question:
        assert finishing.begin(service.env, host, newest.job_uuid, newest.generation, 0)
    with service.counted() as answer:
        finishing.finish(service.env, host, newest.job_uuid, newest.generation, None)
    return named(question), named(answer)


def test_the_cost_does_not_depend_on_the_table(service: Service) -> None:
    fill(service, 10)
    few = life(service, "one")
    fill(service, 1990)
    assert life(service, "one") == few


def test_eight_arqs_cost_what_one_costs(service: Service) -> None:
    assert life(service, "eight") == LIFE


BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("malformed JSON", "POST", {"path": ARQS, "raw": b'{"device'}, 400),
    ("malformed JSON", "PATCH", {"path": ARQS, "raw": b"{"}, 400),
    ("malformed JSON", "POST", {"path": "/v2/device_profiles", "raw": b"[{]"}, 400),
    ("no body", "POST", {"path": ARQS}, 400),
    (
        "wrong content type",
        "POST",
        {"path": ARQS, "body": {"device_profile_name": "one"}, "Content_Type": "text/plain"},
        415,
    ),
    ("unknown profile", "POST", {"path": ARQS, "body": {"device_profile_name": "none"}}, 404),
    ("no profile", "POST", {"path": ARQS, "body": {}}, 400),
    ("a list", "POST", {"path": ARQS, "body": []}, 400),
    (
        "a name that is taken",
        "POST",
        {
            "path": "/v2/device_profiles",
            "body": [{"name": "one", "groups": [{"resources:FPGA": "1"}]}],
        },
        409,
    ),
    ("no groups", "POST", {"path": "/v2/device_profiles", "body": [{"name": "x"}]}, 400),
    (
        "a bad amount",
        "POST",
        {
            "path": "/v2/device_profiles",
            "body": [{"name": "x", "groups": [{"resources:FPGA": "-1"}]}],
        },
        400,
    ),
    ("a profile in use", "DELETE", {"path": "/v2/device_profiles/one"}, 409),
    ("an unknown device", "POST", {"path": f"/v2/devices/{PROVIDER}/disable"}, 404),
    (
        "an unknown deployable",
        "POST",
        {"path": "/v2/attributes", "body": {"deployable_id": 99999, "key": "a", "value": "b"}},
        404,
    ),
]


@pytest.mark.parametrize(("what", "method", "request_", "status"), BAD)
def test_bad_input_is_refused_and_changes_nothing(
    service: Service, what: str, method: str, request_: dict[str, Any], status: int
) -> None:
    service.make()
    before = service.rows()
    answer = service.ask(method, **request_)
    assert answer.status_int == status, answer.text
    fault = json.loads(answer.json["error_message"])
    assert fault["faultcode"] == "Client"
    assert len(fault["faultstring"]) > 10
    assert service.rows() == before


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"device_rp_uuid": new_uuid()}, 404),
        ({"hostname": "elsewhere"}, 409),
        ({"instance_uuid": "not a uuid"}, 400),
    ],
)
def test_a_wrong_bind_is_refused_and_changes_nothing(
    service: Service, values: dict[str, str], status: int
) -> None:
    uuids = service.make("eight")
    before = service.rows()
    assert service.bind(uuids, **values).status_int == status
    assert service.rows() == before


def test_a_bind_without_enough_handles_changes_nothing(service: Service) -> None:
    for _ in range(2):
        assert service.bind(service.make("eight")).status_int == 202
    uuids = service.make()
    before = service.rows()
    assert service.bind(uuids).status_int == 409
    assert service.rows() == before


def test_binding_to_another_instance_changes_nothing(service: Service) -> None:
    uuids, instance = service.make(), new_uuid()
    assert service.bind(uuids, instance_uuid=instance).status_int == 202
    before = service.rows()
    assert service.bind(uuids).status_int == 409
    assert service.rows() == before
    assert service.bind(uuids, instance_uuid=instance).status_int == 202
    assert service.rows() == before


def test_deleting_some_that_do_not_exist_deletes_the_others(service: Service) -> None:
    [uuid] = service.make()
    absent = new_uuid()
    answer = service.ask("DELETE", f"{ARQS}?arqs={absent},{uuid}")
    assert answer.status_int == 404
    assert absent in answer.text
    assert service.ask("GET", ARQS).json == {"arqs": []}
