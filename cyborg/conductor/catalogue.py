"""What operators say: device profiles, the status of devices, attributes of deployables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oslo_log import log

from cyborg.conductor import providers
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import attributes, device_profiles, devices, hosts
from cyborg.db.providers import hosts_of_providers
from cyborg.domain.errors import (
    DeviceNotFound,
    DeviceProfileInUse,
    DeviceProfileNotFound,
    InvalidInput,
)
from cyborg.domain.model import Attribute, DeviceProfile, DeviceStatus, ProviderJobKind
from cyborg.domain.profiles import (
    check_description,
    check_name,
    keys_without_effect,
    parse_groups,
)
from cyborg.domain.providers import TRAIT_KEY, TRAIT_NAME
from cyborg.rpc.context import untimed

LOG = log.getLogger(__name__)


def create_device_profile(
    env: Environment,
    *,
    name: object,
    groups: object,
    description: str | None,
    uuid: str | None,
) -> DeviceProfile:
    """Check and store a profile. ``accel:`` keys that are not known are stored, with a warning.

    :raises InvalidInput: the name or a group is not as it must be.
    :raises DeviceProfileExists: the name or the uuid is taken.
    """
    checked_name = check_name(name)
    checked_groups = parse_groups(groups)
    checked_description = check_description(description)

    def work(unit: Unit) -> DeviceProfile:
        return device_profiles.insert_profile(
            unit.connection,
            uuid=uuid or env.new_uuid(),
            name=checked_name,
            description=checked_description,
            groups=checked_groups,
            now=unit.now,
        )

    made = run(env, work)
    LOG.info("device profile created name=%s uuid=%s", made.name, made.uuid)
    _warn_of_keys(made)
    return made


def update_device_profile(
    env: Environment, uuid: str, changes: Mapping[str, object]
) -> DeviceProfile:
    """Change a profile. ARQs that are being made from it are waited for.

    :param changes: of ``description``, ``name`` and ``groups``; the last two only while no
        ARQ uses it.
    :raises InvalidInput: the name or a group is not as it must be.
    :raises DeviceProfileNotFound: there is no such profile.
    :raises DeviceProfileInUse: ARQs use it.
    :raises DeviceProfileExists: the name is taken.
    """
    checked: dict[str, Any] = dict(changes)
    if "name" in checked:
        checked["name"] = check_name(checked["name"])
    if "description" in checked:
        checked["description"] = check_description(checked["description"])
    if "groups" in checked:
        checked["groups"] = parse_groups(checked["groups"])

    def work(unit: Unit) -> DeviceProfile:
        connection = unit.connection
        exclusive = device_profiles.Lock.EXCLUSIVE
        found = device_profiles.list_profiles(connection, uuids=[uuid], lock=exclusive)
        if not found:
            raise DeviceProfileNotFound(f"Device profile {uuid} could not be found.")
        before = found[0]
        values = {name: value for name, value in checked.items() if getattr(before, name) != value}
        if not values:
            return before
        if values.keys() & {"name", "groups"} and device_profiles.is_used(connection, before.id):
            raise DeviceProfileInUse(
                "A device profile's name and groups cannot be changed while accelerator "
                "requests use it."
            )
        device_profiles.update_profile(connection, before.id, values, unit.now)
        return replace(before, **values, updated_at=unit.now)

    after = run(env, work)
    LOG.info("device profile changed uuid=%s fields=%s", uuid, ",".join(sorted(checked)))
    if "groups" in checked:
        _warn_of_keys(after)
    return after


def delete_device_profiles(env: Environment, uuids: Sequence[str]) -> None:
    """Delete profiles, all or none.

    :raises DeviceProfileNotFound: one is not there.
    :raises DeviceProfileInUse: ARQs use one.
    """
    run(env, lambda unit: device_profiles.delete_profiles(unit.connection, uuids))
    LOG.info("device profiles deleted uuids=%s", ",".join(uuids))


def set_device_status(env: Environment, uuid: str, status: DeviceStatus) -> None:
    """Enable or disable a device. Once this returns, no new bind takes a disabled one.

    Placement is told before, if it can be reached.

    :raises DeviceNotFound: there is no such device.
    """

    def work(unit: Unit) -> None:
        if not devices.set_device_status(unit.connection, uuid, status, unit.now):
            raise DeviceNotFound(f"Device {uuid} could not be found.")
        if env.placement is not None:
            marked = hosts_of_providers(unit.connection, device_uuid=uuid)
            providers.mark(unit, marked, ProviderJobKind.INVENTORY, at_once=True)

    run(env, work)
    LOG.info("device status device=%s status=%s", uuid, status)
    if status is DeviceStatus.ENABLED:
        # One that is missing was kept because it was disabled. Not in the transaction above: a
        # report locks the host first.
        with untimed():
            run(env, lambda unit: hosts.want_report_about(unit.connection, uuid))


def create_attribute(env: Environment, deployable: int | str, key: str, value: str) -> Attribute:
    """Store an operator's attribute of a deployable; ``trait…`` names a trait of its provider.

    :raises InvalidInput: it names a trait, and its value cannot be one.
    :raises DeployableNotFound: there is no such deployable.
    :raises AttributeExists: it has one of this key.
    """

    if key.startswith(TRAIT_KEY) and not TRAIT_NAME.match(value):
        raise InvalidInput(
            f"The attribute '{key}' names a trait of the resource provider: its value must be "
            "1 to 255 capitals, digits or '_'."
        )

    def work(unit: Unit) -> Attribute:
        made = attributes.insert_attribute(
            unit.connection,
            uuid=env.new_uuid(),
            deployable=deployable,
            key=key,
            value=value,
            now=unit.now,
        )
        _mark_traits(unit, made)
        return made

    return run(env, work)


def delete_attribute(env: Environment, uuid: str) -> None:
    """Delete an operator's attribute.

    :raises AttributeNotFound: there is none.
    :raises AttributeReported: a driver reports it.
    """

    run(env, lambda unit: _mark_traits(unit, attributes.delete_attribute(unit.connection, uuid)))


def _mark_traits(unit: Unit, attribute: Attribute) -> None:
    if unit.env.placement is not None and attribute.key.startswith(TRAIT_KEY):
        marked = hosts_of_providers(unit.connection, deployable_ids=[attribute.deployable_id])
        providers.mark(unit, marked, ProviderJobKind.TRAITS)


def _warn_of_keys(profile: DeviceProfile) -> None:
    # Another service may understand them; a misspelt one is noticed nowhere else.
    unknown = keys_without_effect(profile.groups)
    if unknown:
        LOG.warning(
            "device profile with keys that mean nothing here name=%s keys=%s",
            profile.name,
            ",".join(unknown),
        )
