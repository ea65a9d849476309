"""Devices: physical cards."""

from __future__ import annotations

import datetime

from wsme import types as wtypes

from cyborg.api import microversions
from cyborg.api.calls import Call, handler
from cyborg.api.fields import Declaration, Link, View, canonical_uuid, self_link
from cyborg.api.root import Resource, Routes
from cyborg.db.devices import list_devices
from cyborg.domain.errors import DeviceNotFound
from cyborg.domain.model import Device, DeviceStatus
from cyborg.policies import devices as rules


class DeviceFields(Declaration):
    """A device on the wire."""

    uuid = wtypes.UuidType()
    type = wtypes.text
    vendor = wtypes.text
    model = wtypes.text
    std_board_info = wtypes.text
    vendor_board_info = wtypes.text
    hostname = wtypes.text
    #: From microversion 2.3.
    status = wtypes.text
    links = wtypes.ArrayType(Link)
    created_at = datetime.datetime
    updated_at = datetime.datetime


_VIEW = View[Device](DeviceFields, links=self_link("devices"))


class DevicesController(Resource):
    """``/v2/devices``."""

    routes = Routes(
        collection={"GET": "list"},
        item={"GET": "show"},
        actions={"enable": {"POST": "enable"}, "disable": {"POST": "disable"}},
    )

    @handler()
    def list(self, call: Call) -> object:
        """Return the devices that have every given value."""
        query = call.query("type", "vendor", "hostname")
        call.require(rules.DEVICE_GET_ALL)
        with self.services.database.reader() as connection:
            found = list_devices(connection, **query)
        return {"devices": [_wire(device, call) for device in found]}

    @handler()
    def show(self, call: Call, segment: str) -> object:
        """Return one device."""
        call.query()
        call.require(rules.DEVICE_GET_ONE)
        return _wire(self._load(segment), call)

    @handler(status=204)
    def enable(self, call: Call, segment: str) -> None:
        """Let binds take the device again. The body, if any, does not matter."""
        self._set_status(call, rules.DEVICE_ENABLE, segment, DeviceStatus.ENABLED)

    @handler(status=204)
    def disable(self, call: Call, segment: str) -> None:
        """Keep new binds off the device. The body, if any, does not matter."""
        self._set_status(call, rules.DEVICE_DISABLE, segment, DeviceStatus.MAINTAINING)

    def _set_status(self, call: Call, action: str, segment: str, status: DeviceStatus) -> None:
        call.query()
        call.require(action)
        self.services.conductor.set_device_status(self._load(segment).uuid, status)

    def _load(self, segment: str) -> Device:
        uuid = canonical_uuid(segment)
        found = None
        if uuid is not None:
            with self.services.database.reader() as connection:
                found = next(iter(list_devices(connection, uuid=uuid)), None)
        if found is None:
            raise DeviceNotFound(f"Device {segment} could not be found.")
        return found


def _wire(device: Device, call: Call) -> dict[str, object]:
    wire = _VIEW(device, call.base_url)
    if call.version < microversions.DEVICE_STATUS:
        del wire["status"]
    return wire
