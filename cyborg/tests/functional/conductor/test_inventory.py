"""Reports of hosts, as the database holds them."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from cyborg.conductor import binding, catalogue, creating, inventory, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.attributes import list_attributes
from cyborg.db.devices import list_deployables, list_devices
from cyborg.db.tables import attach_handles, deployables, devices, hosts
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import InvalidInput, ReportRefused
from cyborg.domain.inventory import Snapshot
from cyborg.domain.model import DeviceStatus, Presence
from cyborg.tests.helpers import (
    HOST,
    counted_statements,
    deployable,
    device,
    profile,
    report,
)

CARD = device("card", deployable("part", 4))


def count(env: Environment, table: sa.Table) -> int:
    with env.database.reader() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_a_first_report_is_recorded_whole(env: Environment) -> None:
    report(env, CARD)
    with env.database.reader() as connection:
        [card] = list_devices(connection)
        [part] = list_deployables(connection)
    assert (card.hostname, card.vendor, card.type) == (HOST, "0xABCD", "FPGA")
    assert (card.status, card.presence) == (DeviceStatus.ENABLED, Presence.PRESENT)
    assert part.uuid == part.rp_uuid == provider_uuid("part")
    assert part.attributes == (("trait1", "CUSTOM_FAKE_DEVICE"), ("rc", "FPGA"))
    assert count(env, attach_handles) == 4


def test_the_same_report_again_writes_nothing_but_the_host(env: Environment) -> None:
    report(env, CARD)
    with counted_statements(env.database.engine) as statements:
        inventory.report(env, HOST, Snapshot((CARD,)).to_wire())
    writes = [text for text in statements if not text.lstrip().upper().startswith("SELECT")]
    assert len(writes) == 1
    assert writes[0].startswith("UPDATE hosts")


def test_a_changed_report_keeps_identities_and_the_operators_words(env: Environment) -> None:
    report(env, CARD)
    with env.database.reader() as connection:
        [before] = list_devices(connection)
        [part] = list_deployables(connection)
    catalogue.set_device_status(env, before.uuid, DeviceStatus.MAINTAINING)
    catalogue.create_attribute(env, part.uuid, "room", "12")
    other = deployable("part", 6, traits=("CUSTOM_X", "CUSTOM_Y"))
    report(env, dataclasses.replace(CARD, model="newer", deployables=(other,)))
    with env.database.reader() as connection:
        [after] = list_devices(connection)
        [part_after] = list_deployables(connection)
        pairs = {(a.key, a.value) for a in list_attributes(connection)}
    assert (after.uuid, after.model) == (before.uuid, "newer")
    assert after.status is DeviceStatus.MAINTAINING
    assert part_after.uuid == part.uuid
    assert pairs == {
        ("room", "12"),
        ("trait1", "CUSTOM_X"),
        ("trait2", "CUSTOM_Y"),
        ("rc", "FPGA"),
    }
    assert count(env, attach_handles) == 6


def test_a_device_that_is_away_is_asked_for_until_it_is_settled(env: Environment) -> None:
    report(env, CARD)
    empty = Snapshot()
    seen = []
    for _ in range(4):
        if not inventory.heartbeat(env, HOST, empty.digest()):
            report(env)
        with env.database.reader() as connection:
            seen.append([card.presence.value for card in list_devices(connection)])
    assert seen == [["suspect"], ["suspect"], [], []]
    assert inventory.heartbeat(env, HOST, empty.digest()), "it is settled, and asked again"
    assert count(env, deployables) == count(env, attach_handles) == 0


def test_an_owned_device_that_is_away_stays_until_its_owner_goes(env: Environment) -> None:
    report(env, CARD)
    profile(env)
    [arq] = creating.create(env, "one", None)
    values = {
        "hostname": HOST,
        "device_rp_uuid": provider_uuid("part"),
        "instance_uuid": new_uuid(),
    }
    binding.bind(env, {arq.uuid: values}, "project", True)
    for _ in range(5):
        report(env)
    with env.database.reader() as connection:
        [card] = list_devices(connection)
    assert card.presence is Presence.MISSING
    releasing.delete(env, [arq.uuid])
    assert not inventory.heartbeat(env, HOST, Snapshot().digest())
    report(env)
    assert count(env, devices) == 0


def test_a_disabled_device_that_is_missing_goes_when_it_is_enabled(env: Environment) -> None:
    report(env, CARD)
    with env.database.reader() as connection:
        [card] = list_devices(connection)
    catalogue.set_device_status(env, card.uuid, DeviceStatus.MAINTAINING)
    for _ in range(4):
        report(env)
    assert count(env, devices) == 1
    assert inventory.heartbeat(env, HOST, Snapshot().digest()), "there is nothing to wait for"
    catalogue.set_device_status(env, card.uuid, DeviceStatus.ENABLED)
    assert not inventory.heartbeat(env, HOST, Snapshot().digest())
    report(env)
    assert count(env, devices) == 0


def test_a_device_that_returns_is_the_same_one(env: Environment) -> None:
    report(env, CARD)
    with env.database.reader() as connection:
        [before] = list_devices(connection)
    report(env)
    report(env, CARD)
    with env.database.reader() as connection:
        [after] = list_devices(connection)
    assert (after.uuid, after.presence) == (before.uuid, Presence.PRESENT)


def test_an_absurd_report_changes_nothing(env: Environment) -> None:
    report(env, CARD)
    wire = Snapshot((CARD,)).to_wire()
    wire["devices"][0]["deployables"][0]["num_accelerators"] = -1
    inventory.report(env, HOST, wire)
    with env.database.reader() as connection:
        [card] = list_devices(connection)
    assert card.presence is Presence.PRESENT, "what cannot be read is not absent"
    wire["devices"] = [{}] * 2000
    with pytest.raises(ReportRefused):
        inventory.report(env, HOST, wire)
    with pytest.raises(InvalidInput):
        inventory.report(env, "", Snapshot().to_wire())
    assert (count(env, devices), count(env, hosts)) == (1, 1)


def test_a_deployable_of_another_hosts_name_is_left_out(
    env: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    report(env, CARD)
    other = device("other card", deployable("part", 1), deployable("good", 1))
    report(env, other, host="compute-2")
    with env.database.reader() as connection:
        names = {part.name for part in list_deployables(connection)}
    assert names == {"part", "good"}
    [line] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"host {HOST} has a deployable part" in line.getMessage()
    # When the other host's has gone, it comes in without a change of its own.
    assert not inventory.heartbeat(env, "compute-2", Snapshot((other,)).digest())


def test_reading_a_record_costs_the_same_whatever_it_holds(env: Environment) -> None:
    def cost() -> int:
        with counted_statements(env.database.engine) as statements:
            report(env, *cards)
        return len(statements)

    cards = [CARD]
    report(env, *cards)
    one = cost()
    cards += [device(f"card-{n}", deployable(f"part-{n}", 16)) for n in range(20)]
    report(env, *cards)
    assert cost() == one


def test_a_heartbeat_is_one_statement(env: Environment) -> None:
    report(env, CARD)
    digest = Snapshot((CARD,)).digest()
    with counted_statements(env.database.engine) as statements:
        assert inventory.heartbeat(env, HOST, digest)
    assert len(statements) == 1
    assert not inventory.heartbeat(env, HOST, "0" * 64)
    assert not inventory.heartbeat(env, "unknown", digest)
