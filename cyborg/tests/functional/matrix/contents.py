"""What is in the database when a request comes, and what the table calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cyborg.conductor import binding, catalogue, creating
from cyborg.conductor.environment import Environment
from cyborg.db.attributes import list_attributes
from cyborg.db.device_profiles import list_profiles
from cyborg.db.devices import list_deployables, list_devices
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.model import DeviceStatus
from cyborg.tests.helpers import HOST, deployable, device, profile, report

UNKNOWN = "99999999-9999-9999-9999-999999999999"

#: Of owners everything is on the first two.
CARD, STUBBORN, SPARE, NIC, DISABLED = (
    f"{HOST}_{name}" for name in ("Card", "Stubborn", "Spare", "Nic", "Off")
)

#: An owner's accelerator requests: bound to nothing, bound by a service, bound by the owner,
#: and being bound for a service.
KINDS: Mapping[str, tuple[str, bool] | None] = {
    "initial": None,
    "bound": (CARD, True),
    "direct": (CARD, False),
    "starting": (STUBBORN, True),
}


def fill(env: Environment, projects: Mapping[str, str]) -> dict[str, str]:
    """Make all of it through the conductor; return what each name means.

    :param projects: by owner.
    """
    report(
        env,
        device("card", deployable(CARD, 16)),
        device("stubborn", deployable(STUBBORN, 16, needs_prepare=True)),
        device("spare", deployable(SPARE, 1, programmable=True)),
        device("nic", deployable(NIC, 1, programmable=True), type="NIC"),
        device("disabled", deployable(DISABLED, 1)),
    )
    profile(env, "one")
    profile(env, "unused")
    names = {"unknown": UNKNOWN, "host": HOST, "new instance": new_uuid(), **_inventory(env)}
    for owner, project in projects.items():
        names[f"{owner}.project"] = project
        for kind, bound in KINDS.items():
            names |= _request(env, f"{owner}.{kind}", project, bound)
    return names


def _inventory(env: Environment) -> dict[str, str]:
    with env.database.reader() as connection:
        parts = {part.name: part for part in list_deployables(connection)}
        devices = {one.id: one.uuid for one in list_devices(connection)}
        profiles = {one.name: one.uuid for one in list_profiles(connection)}
        reported = list_attributes(connection)[0].uuid
    device_of = {name: devices[part.device_id] for name, part in parts.items()}
    catalogue.set_device_status(env, device_of[DISABLED], DeviceStatus.MAINTAINING)
    made = catalogue.create_attribute(env, parts[CARD].uuid, "colour", "red")
    return {
        "device": device_of[CARD],
        "deployable": parts[CARD].uuid,
        "spare.deployable": parts[SPARE].uuid,
        "nic": device_of[NIC],
        "nic.deployable": parts[NIC].uuid,
        "disabled": device_of[DISABLED],
        "profile": profiles["unused"],
        "used profile": profiles["one"],
        "attribute": made.uuid,
        "reported attribute": reported,
    }


def _request(
    env: Environment, name: str, project: str, bound: tuple[str, bool] | None
) -> dict[str, str]:
    """Make an accelerator request, and bind it to an instance of its own."""
    [made] = creating.create(env, "one", project)
    if bound is None:
        return {name: made.uuid}
    provider, by_service = bound
    values = {
        "hostname": HOST,
        "device_rp_uuid": provider_uuid(provider),
        "instance_uuid": new_uuid(),
    }
    # Without Nova, which knows no such instance.
    binding.bind(replace(env, nova=None), {made.uuid: values}, project, by_service)
    return {name: made.uuid, f"{name}.instance": values["instance_uuid"]}
