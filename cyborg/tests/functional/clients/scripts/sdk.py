"""openstacksdk's accelerator proxy, with the credentials and microversion of the environment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import openstack
from openstack import exceptions
from openstack.accelerator.v2 import _proxy

#: The methods of the proxy that were called.
USED: set[str] = set()

#: Since 2.4 there are uuids instead of internal numbers, which the SDK does not know.
NUMBERED = os.environ.get("OS_ACCELERATOR_DEFAULT_MICROVERSION", "2.3") == "2.3"

UNKNOWN = "00000000-0000-4000-8000-000000000000"
GROUP = {"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}

# What the SDK has deprecated is tried as well.
warnings.simplefilter("ignore")


class Recorded:
    """The proxy, which notes what is called."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def __getattr__(self, name: str) -> Any:
        USED.add(name)
        return getattr(self._proxy, name)


def connected(version: str | None = None) -> Any:
    """Return the proxy, which asks for the environment's microversion or another one."""
    options: dict[str, Any] = {}
    if version is not None:
        options["accelerator_default_microversion"] = version
    return Recorded(openstack.connect(**options).accelerator)


def raised(kind: type[Exception], call: Callable[..., object], *values: Any, **named: Any) -> Any:
    """Return the exception, of exactly this kind, that a call must end with."""
    try:
        call(*values, **named)
    except kind as error:
        assert type(error) is kind, error
        return error
    raise AssertionError(f"{call} raised nothing")


def by_id(resources: Any) -> dict[str, Any]:
    """Return listed resources by their ids; none may come twice."""
    listed = list(resources)
    found = {resource.id: resource for resource in listed}
    assert len(found) == len(listed), listed
    return found


def methods() -> list[str]:
    """Return the names of the proxy's own methods."""
    return [
        name
        for name, value in vars(_proxy.Proxy).items()
        if callable(value) and not name.startswith("_")
    ]


def devices(hosts: list[str]) -> None:
    """List, show, disable and enable devices."""
    accelerator = connected()
    found = by_id(accelerator.devices())
    assert sorted(device.hostname for device in found.values()) == hosts
    [device] = accelerator.devices(hostname=hosts[0])
    assert (device.type, device.vendor, device.model) == ("FPGA", "0xABCD", "Fake FPGA")
    assert "controller" in device.std_board_info
    assert "serial" in device.vendor_board_info
    assert (device.status, bool(device.created_at)) == ("enabled", True)
    assert accelerator.get_device(device.uuid).to_dict() == device.to_dict()
    assert list(accelerator.devices(type="GPU")) == []
    accelerator.disable_device(device.uuid)
    waited = accelerator.wait_for_status(device, "maintaining", interval=0.1, wait=10)
    assert waited.status == "maintaining"
    accelerator.enable_device(device)
    assert accelerator.get_device(device).status == "enabled"
    assert accelerator.get_device(device).updated_at is not None
    assert connected("2.2").get_device(device.uuid).status is None, "the status is of 2.3"
    # What it does not know can be asked for.
    answer = accelerator.get("/devices", params={"presence": "present"}, microversion="2.5")
    assert sorted(one["hostname"] for one in answer.json()["devices"]) == hosts
    missing = raised(exceptions.NotFoundException, accelerator.get_device, UNKNOWN)
    assert UNKNOWN in missing.details, missing.details


def deployables(provider: str, name: str) -> None:
    """List and show deployables."""
    accelerator = connected()
    found = by_id(accelerator.deployables())
    assert len(found) == 2, found
    assert found[provider].name == name
    shown = accelerator.get_deployable(provider)
    assert (shown.id, shown.name, shown.num_accelerators) == (provider, name, 16)
    assert isinstance(shown.device_id, int) is NUMBERED, shown
    [named] = accelerator.deployables(name=name)
    assert named.id == provider
    missing = raised(exceptions.NotFoundException, accelerator.get_deployable, UNKNOWN)
    assert UNKNOWN in missing.details, missing.details


def program(provider: str, image: str) -> Any:
    """Program a deployable, and show it as it is answered."""
    patch = [{"op": "replace", "path": "/program", "value": [{"image_uuid": image}]}]
    return connected().patch_deployable(provider, patch).to_dict()


def program_by_the_deprecated_name(provider: str) -> None:
    """``update_deployable`` calls itself for ever."""
    raised(RecursionError, connected().update_deployable, provider, [])


def attributes(provider: str) -> None:
    """Create, list, show and delete attributes."""
    accelerator = connected()
    values = {"key": "sdk", "value": "text"}
    created = accelerator.create_attribute(deployable_id=provider, **values)
    assert (created.key, created.value) == ("sdk", "text")
    shown = accelerator.get_attribute(created.uuid)
    assert isinstance(shown.deployable_id, int) is NUMBERED, shown
    for name in ("uuid", "key", "value", "created_at"):
        assert getattr(shown, name) == getattr(created, name), name
    assert created.id in by_id(accelerator.attributes())
    assert [one.id for one in accelerator.attributes(key="sdk")] == [created.id]
    accelerator.delete_attribute(created)
    accelerator.delete_attribute(created.id)  # missing, which is ignored unless told
    missing = raised(
        exceptions.NotFoundException, accelerator.delete_attribute, created.id, ignore_missing=False
    )
    assert created.id in missing.details
    raised(exceptions.NotFoundException, accelerator.get_attribute, created.id)


def device_profiles() -> None:
    """Create, list, show and delete device profiles."""
    accelerator = connected()
    values = {"name": "sdk-profile", "groups": [GROUP], "description": "Of the SDK"}
    created = accelerator.create_device_profile(**values)
    assert {name: getattr(created, name) for name in values} == values
    assert by_id(accelerator.device_profiles())[created.id].groups == [GROUP]
    assert [one.id for one in accelerator.device_profiles(name="sdk-profile")] == [created.id]
    for name in (created.uuid, "sdk-profile"):
        shown = accelerator.get_device_profile(name)
        assert {name: getattr(shown, name) for name in values} == values
    taken = raised(exceptions.ConflictException, accelerator.create_device_profile, **values)
    assert taken.details == "A device profile with name sdk-profile already exists."
    accelerator.delete_device_profile(created)
    accelerator.delete_device_profile(created.id)
    missing = raised(
        exceptions.NotFoundException,
        accelerator.delete_device_profile,
        created.id,
        ignore_missing=False,
    )
    assert created.id in missing.details


def what_errors_tell_an_administrator() -> None:
    """The text of an error reaches the user in ``details``."""
    accelerator = connected()
    refused = raised(
        exceptions.BadRequestException,
        accelerator.create_device_profile,
        name="sdk-refused",
        groups=[{"trait:HW_CPU": "required"}],
    )
    assert "trait" in refused.details, refused.details
    assert refused.details in str(refused)
    assert refused.request_id.startswith("req-")
    unacceptable = raised(exceptions.HttpException, connected("2.1").get_device_profile, "a-name")
    assert unacceptable.status_code == 406
    assert "needs microversion 2.2" in unacceptable.details
    none = raised(
        exceptions.NotFoundException,
        accelerator.create_accelerator_request,
        device_profile_name="no-such-profile",
    )
    assert "no-such-profile" in none.details


def what_errors_tell_a_member(instance: str) -> None:
    """Whoever lacks a role, or a service token, is told so."""
    accelerator = connected()
    refused = raised(exceptions.ForbiddenException, accelerator.create_device_profile, name="n")
    assert "cyborg:device_profile:create" in refused.details, refused.details
    path = f"/accelerator_requests?instance={instance}"
    answer = accelerator.delete(path)
    refused = raised(exceptions.ForbiddenException, exceptions.raise_from_response, answer)
    assert "requires a service token" in refused.details


def accelerator_requests(profile: str, host: str, provider: str, server: str) -> None:
    """Create, list, show, bind, unbind and delete ARQs, as a project's accelerator admin."""
    accelerator = connected()
    created = accelerator.create_accelerator_request(device_profile_name=profile)
    assert (created.state, created.device_profile_name) == ("Initial", profile)
    assert (created.instance_uuid, created.attach_handle_type) == (None, "")
    assert created.id in by_id(accelerator.accelerator_requests())
    binding = {"hostname": host, "device_rp_uuid": provider, "instance_uuid": server}
    patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in binding.items()]
    accelerator.patch_accelerator_request(created.id, patch)
    bound = accelerator.get_accelerator_request(created)
    assert {name: getattr(bound, name) for name in binding} == binding
    assert (bound.state, bound.attach_handle_type) == ("Bound", "TEST_PCI")
    assert set(bound.attach_handle_info) == {"domain", "bus", "device", "function"}
    [found] = accelerator.accelerator_requests(instance_uuid=server)
    assert (found.id, found.state) == (created.id, "Bound")
    elsewhere = [change | {"value": UNKNOWN} for change in patch if change["path"] != "/hostname"]
    taken = raised(
        exceptions.ConflictException,
        accelerator.patch_accelerator_request,
        created.id,
        [*elsewhere, patch[0]],
    )
    assert created.id in taken.details, taken.details
    removal = [{"op": "remove", "path": change["path"]} for change in patch]
    accelerator.update_accelerator_request(created.id, removal)
    assert accelerator.get_accelerator_request(created).state == "Unbound"
    accelerator.delete_accelerator_request(created.id, ignore_missing=False)
    accelerator.wait_for_delete(created, interval=0.1, wait=10)
    accelerator.delete_accelerator_request(created.id)
    raised(
        exceptions.NotFoundException,
        accelerator.delete_accelerator_request,
        created.id,
        ignore_missing=False,
    )


def pages(profile: str) -> None:
    """List everything of every kind one by one, and the rest after a marker."""
    accelerator = connected()
    made = [
        accelerator.create_accelerator_request(device_profile_name=profile).id for _ in range(3)
    ]
    for kind in (
        "devices",
        "deployables",
        "attributes",
        "device_profiles",
        "accelerator_requests",
    ):
        listed = getattr(accelerator, kind)
        everything = list(by_id(listed()))
        assert len(everything) >= 2, kind
        assert list(by_id(listed(limit=1))) == everything, kind
        assert list(by_id(listed(limit=1, paginated=False))) == everything[:1], kind
        assert list(by_id(listed(limit=100))) == everything, kind
        after = list(by_id(listed(marker=everything[0])))
        assert after == everything[1:], kind
    for uuid in made:
        accelerator.delete_accelerator_request(uuid, ignore_missing=False)
