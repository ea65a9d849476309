"""What operators say: device profiles, the status of devices, attributes of deployables."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor.environment import Environment
from cyborg.db import device_profiles, devices
from cyborg.domain.errors import DeviceNotFound
from cyborg.domain.model import Attribute, DeviceProfile, DeviceStatus
from cyborg.domain.profiles import check_name, parse_groups

LOG = log.getLogger(__name__)


def create_device_profile(
    env: Environment,
    *,
    name: object,
    groups: object,
    description: str | None,
    uuid: str | None,
) -> DeviceProfile:
    """Check and store a profile.

    :raises InvalidInput: the name or a group is not as it must be.
    :raises DeviceProfileExists: the name or the uuid is taken.
    """
    checked_name = check_name(name)
    checked_groups = parse_groups(groups)

    def work(connection: sa.Connection) -> DeviceProfile:
        return device_profiles.insert_profile(
            connection,
            uuid=uuid or env.new_uuid(),
            name=checked_name,
            description=description,
            groups=checked_groups,
            now=env.clock(),
        )

    made = env.database.run(work)
    LOG.info("device profile created name=%s uuid=%s", made.name, made.uuid)
    return made


def delete_device_profiles(env: Environment, uuids: Sequence[str]) -> None:
    """Delete profiles, all or none.

    :raises DeviceProfileNotFound: one is not there.
    :raises DeviceProfileInUse: ARQs use one.
    """
    env.database.run(lambda connection: device_profiles.delete_profiles(connection, uuids))
    LOG.info("device profiles deleted uuids=%s", ",".join(uuids))


def set_device_status(env: Environment, uuid: str, status: DeviceStatus) -> None:
    """Enable or disable a device. Once this returns, no new bind takes a disabled one.

    :raises DeviceNotFound: there is no such device.
    """

    def work(connection: sa.Connection) -> None:
        if not devices.set_device_status(connection, uuid, status, env.clock()):
            raise DeviceNotFound(f"Device {uuid} could not be found.")

    env.database.run(work)
    LOG.info("device status device=%s status=%s", uuid, status)


def create_attribute(env: Environment, deployable: int | str, key: str, value: str) -> Attribute:
    """Store an operator's attribute of a deployable.

    :raises DeployableNotFound: there is no such deployable.
    :raises AttributeExists: it has one of this key.
    """

    def work(connection: sa.Connection) -> Attribute:
        return devices.insert_attribute(
            connection,
            uuid=env.new_uuid(),
            deployable=deployable,
            key=key,
            value=value,
            now=env.clock(),
        )

    return env.database.run(work)


def delete_attribute(env: Environment, uuid: str) -> None:
    """Delete an operator's attribute.

    :raises AttributeNotFound: there is none.
    :raises AttributeReported: a driver reports it.
    """
    env.database.run(lambda connection: devices.delete_attribute(connection, uuid))
