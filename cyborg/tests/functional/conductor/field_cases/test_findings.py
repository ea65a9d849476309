"""What an adversarial reading of this service found, where no case of the field is about it.

Findings 1, 4 and 8 are with the kinds K1, K2 and K10.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyborg.conductor import inventory, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.tables import attach_handles, devices, hosts, metadata
from cyborg.db.tables import jobs as job_table
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import ReportRefused
from cyborg.domain.inventory import DeviceReport, digest_of
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.report_check import MAX_DEPLOYABLES, MAX_DEVICES, MAX_HANDLES
from cyborg.domain.states import ArqState
from cyborg.domain.text import is_plain
from cyborg.tests.functional.conductor.field_cases.hardware import but, card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine, wire_of
from cyborg.tests.functional.conductor.harness import rows
from cyborg.tests.helpers import HOST

SLOT = "0000:42:00.0"
NAME = f"compute-1_{SLOT}"
A, OTHER = gpu("GPU-a", SLOT), gpu("GPU-b", "0000:43:00.0")


# Finding 2: a release of a device that is away


def test_finding_2_a_release_that_finds_no_device_leaves_it_dirty(scheduled: Machine) -> None:
    scheduled.report(A)
    bound = scheduled.bind(NAME, "PGPU")
    scheduled.report()
    scheduled.delete(bound)
    assert scheduled.answer("GPU-a is not there", away=True) == 1
    # For its user it is over.
    assert bound.uuid not in {row.uuid for row in rows(scheduled.env, job_table)}
    assert scheduled.hardware() == {SLOT: HandleCondition.UNCLEAN}
    assert scheduled.offered(NAME, "PGPU") == 0
    scheduled.report(A)
    assert scheduled.offered(NAME, "PGPU") == 0
    scheduled.refusal(NAME, "PGPU")
    assert scheduled.answer() == 1
    assert scheduled.offered(NAME, "PGPU") == 1
    scheduled.bind(NAME, "PGPU")


def test_finding_2_however_long_it_is_away(machine: Machine) -> None:
    machine.report(A, OTHER)
    bound = machine.bind(NAME, "PGPU")
    machine.delete(bound)
    machine.answer("GPU-a is not there", away=True)
    for _ in range(6):
        machine.report(OTHER)
    assert machine.device("GPU-a").presence == Presence.MISSING
    machine.report(A, OTHER)
    machine.refusal(NAME, "PGPU")
    # It goes again before it is clean, and comes back once more.
    assert machine.answer("GPU-a is not there", away=True) == 1
    for _ in range(6):
        machine.report(OTHER)
    machine.report(A, OTHER)
    machine.refusal(NAME, "PGPU")
    assert machine.answer() == 1
    machine.bind(NAME, "PGPU")


def test_finding_2_it_was_away_for_less_than_a_scan(machine: Machine) -> None:
    """No report has ever lacked it."""
    machine.report(A)
    machine.delete(machine.bind(NAME, "PGPU"))
    machine.answer("GPU-a is not there", away=True)
    machine.refusal(NAME, "PGPU")
    machine.report(A)
    machine.refusal(NAME, "PGPU")
    assert machine.answer() == 1
    machine.bind(NAME, "PGPU")


def test_finding_2_an_agent_of_before_says_that_it_is_clean(machine: Machine) -> None:
    """To it, a device that is no longer there was a success; the record knows better."""
    machine.report(A)
    bound = machine.bind(NAME, "PGPU")
    machine.report()
    machine.delete(bound)
    assert machine.answer() == 1
    machine.report(A)
    machine.refusal(NAME, "PGPU")
    assert machine.answer() == 1
    machine.bind(NAME, "PGPU")


def test_finding_2_what_cannot_be_cleaned_is_quarantined(machine: Machine) -> None:
    machine.report(A)
    machine.delete(machine.bind(NAME, "PGPU"))
    machine.answer("GPU-a is not there", away=True)
    machine.report(A)
    machine.fail_to_clean()
    assert machine.hardware() == {SLOT: HandleCondition.QUARANTINED}
    for seen in ((), (), (), (), (A,)):
        machine.report(*seen)
        assert machine.answer() == 0
    machine.refusal(NAME, "PGPU")


def test_finding_2_an_unbind(machine: Machine) -> None:
    machine.report(A)
    bound = machine.bind(NAME, "PGPU")
    releasing.unbind(machine.env, [bound.uuid])
    machine.answer("GPU-a is not there", away=True)
    assert machine.arq(bound).state is ArqState.UNBOUND
    assert machine.hardware() == {SLOT: HandleCondition.UNCLEAN}
    machine.refusal(NAME, "PGPU")


def test_finding_15_the_wrong_machine_is_asked_to_clean(machine: Machine) -> None:
    """Two agents of one name: what the wrong one cannot find has not been cleaned, and what it
    does not report is taken from nobody."""
    machine.report(A)
    bound = machine.bind(NAME, "PGPU")
    for seen in ((OTHER,), (A,), (OTHER,), (A,)):
        machine.report(*seen)
        handle = machine.arq(bound).attach_handle
        assert handle == bound.attach_handle
    machine.delete(bound)
    machine.answer("no device GPU-a here", away=True)
    machine.report(OTHER)
    machine.report(A)
    machine.refusal(NAME, "PGPU")
    machine.answer("no device GPU-a here", away=True)
    machine.refusal(NAME, "PGPU")
    machine.report(A)
    assert machine.answer() >= 1
    machine.bind(NAME, "PGPU")


# Finding 13: text that a database refuses

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)
GOOD = gpu("GPU-good", "0000:51:00.0")

FIELDS: dict[str, Any] = {
    "driver": lambda wire, text: wire.update(driver=text),
    "identity": lambda wire, text: wire.update(identity=text),
    "type": lambda wire, text: wire.update(type=text),
    "vendor": lambda wire, text: wire.update(vendor=text),
    "model": lambda wire, text: wire.update(model=text),
    "board info": lambda wire, text: wire.update(std_board_info={"a": text, text: "b"}),
    "control path": lambda wire, text: wire.update(control_path={text: text}),
    "reason": lambda wire, text: wire.update(condition="failed", condition_reason=text),
    "name": lambda wire, text: wire["deployables"][0].update(name=text),
    "driver_name": lambda wire, text: wire["deployables"][0].update(driver_name=text),
    "trait": lambda wire, text: wire["deployables"][0].update(traits=[text]),
    "class": lambda wire, text: wire["deployables"][0].update(resource_class=text),
    "image": lambda wire, text: wire["deployables"][0].update(bitstream_id=text),
    "info": lambda wire, text: _handle(wire)["info"].update({"note": text, text: "b"}),
    "bus": lambda wire, text: _handle(wire)["info"].update(bus=text),
    "key": lambda wire, text: _handle(wire).update(type="SLICE", key=text),
    "counter": lambda wire, text: _handle(wire).update(
        shares=[{"counter": text, "amount": 1, "capacity": 2}]
    ),
}


def _handle(wire: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = wire["deployables"][0]["handles"][0]
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=ANY_TEXT, field=st.sampled_from(sorted(FIELDS)))
def test_finding_13_any_text_in_a_report_costs_its_device_at_most(
    machine: Machine, text: str, field: str
) -> None:
    news = new_uuid()
    wire = wire_of(A, but(GOOD, model=news))
    FIELDS[field](wire["devices"][0], text)
    machine.send(wire)
    assert machine.device("GPU-good").model == news
    for row in rows(machine.env, devices):
        assert all(map(is_plain, (row.identity, row.driver, row.vendor, row.model)))
        assert is_plain(row.condition_reason or "")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(error=ANY_TEXT)
def test_finding_13_any_error_ends_a_release(machine: Machine, error: str) -> None:
    """It was never counted, and asked for again every 30 seconds for ever."""
    machine.env.conf.set_override("release_attempts", 1, group="conductor")
    if not machine.hardware():
        machine.report(A)
        machine.bind(NAME, "PGPU")
    [row] = rows(machine.env, attach_handles)
    uuid = _owner(machine.env, row.accelerator_request_id)
    releasing.unbind(machine.env, [uuid])
    assert machine.answer(error) == 1
    assert rows(machine.env, job_table) == []
    [found] = [machine.deployable(NAME).usage]
    assert found is not None
    assert (found.used, found.free) == (1, 0)


def _owner(env: Environment, id_: int) -> str:
    table = metadata.tables["accelerator_requests"]
    with env.database.reader() as connection:
        uuid: str = connection.execute(
            sa.select(table.c.uuid).where(table.c.id == id_)
        ).scalar_one()
    return uuid


# Finding 16: agents and conductors that are one release apart


def of_before(*seen: DeviceReport) -> dict[str, Any]:
    """Return a report as an agent makes it that knows none of the newer fields."""
    wire = wire_of(*seen)
    del wire["unseen"]
    for device in wire["devices"]:
        del device["condition"], device["condition_reason"]
        for each in device["deployables"]:
            for name in ("programmable", "bitstream_id", "is_empty"):
                del each[name]
            for handle in each["handles"]:
                del handle["key"], handle["shares"]
    return wire


def of_later(*seen: DeviceReport, value: object = 1) -> dict[str, Any]:
    """Return a report with a field more at each level."""
    wire = {**wire_of(*seen), "later": value}
    for device in wire["devices"]:
        device["later"] = value
        for each in device["deployables"]:
            each["later"] = {"a": value}
            for handle in each["handles"]:
                handle["later"] = [value]
                handle["shares"] = [{"counter": "card", "amount": 1, "capacity": 8, "later": value}]
    return wire


@pytest.mark.parametrize("made", [of_before, of_later], ids=["of before", "of later"])
def test_finding_16_an_agent_of_another_release_is_heard_once(machine: Machine, made: Any) -> None:
    """Its heartbeat is known again: the digest is of what it sent."""
    wire = made(A, OTHER)
    machine.send(wire)
    assert machine.identities() == {"GPU-a", "GPU-b"}
    assert inventory.heartbeat(machine.env, HOST, digest_of(wire))
    machine.bind(NAME, "PGPU")


def test_finding_16_what_is_not_understood_is_part_of_the_digest(machine: Machine) -> None:
    """An agent that is newer has said something else, and a newer conductor would hear it."""
    machine.send(of_later(A, value=1))
    assert not inventory.heartbeat(machine.env, HOST, digest_of(of_later(A, value=2)))


def test_finding_16_an_agent_is_upgraded_and_goes_back(machine: Machine) -> None:
    """Nothing that it had comes to be something else by that."""
    machine.send(of_before(A))
    before = machine.device("GPU-a").uuid
    bound = machine.bind(NAME, "PGPU")
    for wire in (wire_of(A), of_before(A), of_later(A), of_before(A)):
        machine.send(wire)
        assert machine.device("GPU-a").uuid == before
        assert machine.hardware() == {SLOT: HandleCondition.READY}
        machine.refusal(NAME, "PGPU")
    assert machine.arq(bound).attach_handle == bound.attach_handle


# Finding 22: bounds


def test_finding_22_a_report_has_a_total_bound(machine: Machine) -> None:
    machine.report(A)
    [device] = wire_of(OTHER)["devices"]
    [region] = device["deployables"]
    [handle] = region["handles"]
    many = {
        "devices": [device] * (MAX_DEVICES + 1),
        "deployables": [{**device, "deployables": [region] * (MAX_DEPLOYABLES // 8 + 1)}] * 8,
        "attach handles": [
            {**device, "deployables": [{**region, "handles": [handle] * (MAX_HANDLES // 8 + 1)}]}
        ]
        * 8,
    }
    for what, found in many.items():
        wire = copy.deepcopy({**wire_of(), "devices": found})
        with pytest.raises(ReportRefused, match=what if what != "devices" else None):
            machine.send(wire)
    assert machine.identities() == {"GPU-a"}


def test_finding_22_ids_of_64_bits(machine: Machine) -> None:
    """Claims of work burn ids: 2**31 are two years of a busy cloud."""
    many = 2**40
    with machine.env.database.engine.begin() as connection:
        connection.execute(
            hosts.insert().values(
                id=many, name=HOST, last_seen_at=machine.env.clock(), created_at=machine.env.clock()
            )
        )
        if connection.dialect.name == "postgresql":
            for table in metadata.sorted_tables:
                if "id" in table.c:
                    query = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {many})"
                    connection.execute(sa.text(query))
        elif connection.dialect.name in ("mysql", "mariadb"):
            for table in metadata.sorted_tables:
                if "id" in table.c:
                    query = f"ALTER TABLE {table.name} AUTO_INCREMENT = {many + 1}"
                    connection.execute(sa.text(query))
    shapes = [part("whole", "PGPU", pci(SLOT), needs_release=True)]
    machine.report(card("GPU-a", *shapes))
    bound = machine.bind("whole", "PGPU")
    assert rows(machine.env, devices)[0].host_id == many
    if machine.env.database.engine.dialect.name != "sqlite":
        assert rows(machine.env, attach_handles)[0].id > many
    machine.delete(bound)
    assert machine.answer() == 1
    machine.bind("whole", "PGPU")
