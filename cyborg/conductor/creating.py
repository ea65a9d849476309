"""Making ARQs from a device profile."""

from __future__ import annotations

import json
from dataclasses import asdict

from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db.accelerator_requests import insert_requests
from cyborg.db.device_profiles import hold_profile
from cyborg.db.devices import resource_classes
from cyborg.domain.errors import DeviceProfileNotFound, InvalidInput
from cyborg.domain.model import AcceleratorRequest, DeviceProfile
from cyborg.domain.profiles import needs_known_classes, units, without_resources
from cyborg.domain.states import ArqState


def create(
    env: Environment, device_profile_name: str, project_id: str | None, by_service: bool = False
) -> list[AcceleratorRequest]:
    """Make one ARQ for each unit of each group. Two statements, whatever their number.

    The group is copied: a later change of the profile does not touch these ARQs. One that
    is under way is waited for.

    :param by_service: a service asks, not the user.
    :raises DeviceProfileNotFound: there is no such profile.
    :raises InvalidInput: the profile asks for no accelerator, or one of its groups, which an
        earlier release stored, for no resources.
    """

    def work(unit: Unit) -> list[AcceleratorRequest]:
        connection = unit.connection
        found = hold_profile(connection, device_profile_name)
        if found is None:
            raise DeviceProfileNotFound(
                f"Device profile '{device_profile_name}' could not be found."
            )
        profile = found.profile
        unit.require_in_time(found.now)
        for group_id in without_resources(profile.groups):
            raise InvalidInput(
                f"Group {group_id} of device profile '{profile.name}' asks for no resources."
            )
        classes = resource_classes(connection) if needs_known_classes(profile.groups) else ()
        counts = [units(group, classes) for group in profile.groups]
        made = [
            _request(unit, profile, group_id, project_id, by_service)
            for group_id, count in enumerate(counts)
            for _ in range(count)
        ]
        if not made:
            raise InvalidInput(f"Device profile '{profile.name}' asks for no accelerator.")
        insert_requests(connection, [_row(request, profile.id) for request in made])
        return made

    return run(env, work)


def _request(
    unit: Unit,
    profile: DeviceProfile,
    group_id: int,
    project_id: str | None,
    by_service: bool,
) -> AcceleratorRequest:
    return AcceleratorRequest(
        uuid=unit.env.new_uuid(),
        state=ArqState.INITIAL,
        device_profile_name=profile.name,
        device_profile_group_id=group_id,
        group=profile.groups[group_id],
        project_id=project_id,
        hostname=None,
        device_rp_uuid=None,
        instance_uuid=None,
        bound_by_service=False,
        created_by_service=by_service,
        bound_at=None,
        state_reason=None,
        generation=1,
        attach_handle=None,
        created_at=unit.now,
        updated_at=None,
    )


def _row(request: AcceleratorRequest, device_profile_id: int) -> dict[str, object]:
    row = asdict(request)
    row["device_profile_id"] = device_profile_id
    row["group_json"] = json.dumps(row.pop("group"))
    del row["device_profile_name"], row["attach_handle"]
    return row
