"""Devices: the cards that agents have found."""

from __future__ import annotations

from wsme import types as wtypes

from cyborg.api import parameters
from cyborg.api.calls import Call
from cyborg.api.fields import (
    Declaration,
    Field,
    View,
    canonical_uuid,
    links_field,
    self_link,
    times,
)
from cyborg.api.microversions import DEVICE_CONDITION, DEVICE_STATUS, DEVICE_WORK, V2_4
from cyborg.api.operations import Answer, Listing, Operation, handler
from cyborg.api.parameters import Parameter
from cyborg.api.resource import Resource, Routes
from cyborg.api.v2.usage import usage_field, usage_of
from cyborg.api.v2.work import work_field, work_of
from cyborg.db.devices import DEVICE_SORT, list_devices
from cyborg.domain.errors import DeviceNotFound
from cyborg.domain.model import Device, DeviceCondition, DeviceStatus, Presence
from cyborg.policies import devices as rules


class DeviceFields(Declaration):
    """A device on the wire."""

    uuid = Field(wtypes.UuidType(), "The device's uuid.")
    type = Field(wtypes.text, "What it is: FPGA, GPU, AICHIP, QAT, NIC, SSD and others.")
    vendor = Field(wtypes.text, "The PCI vendor's id, as the driver gives it.")
    model = Field(wtypes.text, "The model, in free text.")
    std_board_info = Field(wtypes.text, "What every board tells, as JSON text.")
    vendor_board_info = Field(wtypes.text, "What the vendor's boards tell, as text.")
    hostname = Field(wtypes.text, "The name of the compute node's resource provider.")
    status = Field(
        wtypes.text,
        "What the operator wants of it.",
        since=DEVICE_STATUS,
        values=tuple(DeviceStatus),
    )
    presence = Field(
        wtypes.text,
        "Whether its host's reports have it: present; suspect, if the last ones have not; or "
        "missing, if they have not had it for long enough.",
        since=DEVICE_CONDITION,
        values=tuple(Presence),
    )
    condition = Field(
        wtypes.text,
        "Whether it works, as its driver sees it. One that is degraded works, and somebody "
        "should look at it; of one that is unmonitored nobody can tell.",
        since=DEVICE_CONDITION,
        values=tuple(DeviceCondition),
    )
    condition_reason = Field(
        wtypes.text,
        "In plain words, why its condition is what it is.",
        nullable=True,
        since=DEVICE_CONDITION,
    )
    usage = usage_field()
    work = work_field()
    links = links_field()
    created_at, updated_at = times()


VIEW = View[Device](DeviceFields, usage=usage_of, work=work_of, links=self_link("devices"))

#: Keys of the order that came after the order itself.
_NEWER = {"presence": DEVICE_CONDITION, "condition": DEVICE_CONDITION}
_SORTABLE = tuple(key for key in DEVICE_SORT.columns if key not in _NEWER)


class DevicesController(Resource):
    """``/v2/devices``."""

    routes = Routes(
        collection={"GET": "list"},
        item={"GET": "show"},
        actions={"enable": {"POST": "enable"}, "disable": {"POST": "disable"}},
    )

    @handler(
        Operation(
            summary="List devices",
            action=rules.DEVICE_GET_ALL,
            parameters=(
                Parameter("type", parameters.TEXT, "Of this type."),
                Parameter("vendor", parameters.TEXT, "Of this vendor."),
                Parameter("hostname", parameters.TEXT, "In this host."),
                Parameter("model", parameters.TEXT, "Of this model.", since=V2_4),
                Parameter(
                    "status", parameters.choice(DeviceStatus), "With this status.", since=V2_4
                ),
                Parameter(
                    "presence",
                    parameters.choice(Presence),
                    "Of this presence.",
                    since=DEVICE_CONDITION,
                ),
                Parameter(
                    "condition",
                    parameters.choice(DeviceCondition),
                    "In this condition.",
                    since=DEVICE_CONDITION,
                ),
            ),
            listing=Listing(_SORTABLE, filters=True, newer=_NEWER),
            answer=Answer(DeviceFields, "devices", many=True),
        )
    )
    def list(self, call: Call) -> object:
        """Return the devices that have every given value."""
        call.require()
        return self.page(
            call,
            "devices",
            VIEW,
            lambda connection, page: list_devices(
                connection,
                page=page,
                with_usage=call.version >= V2_4,
                with_work=call.version >= DEVICE_WORK,
                **call.filters(),
            ),
        )

    @handler(
        Operation(
            summary="Show a device",
            action=rules.DEVICE_GET_ONE,
            answer=Answer(DeviceFields),
        )
    )
    def show(self, call: Call, segment: str) -> object:
        """Return one device."""
        call.require()
        return VIEW.writer(call.version, call.base_url)(self._load(call, segment))

    @handler(
        Operation(
            summary="Enable a device: servers may have it again",
            action=rules.DEVICE_ENABLE,
            status=204,
        )
    )
    def enable(self, call: Call, segment: str) -> None:
        """Let binds take the device again. The body, if any, does not matter."""
        self._set_status(call, segment, DeviceStatus.ENABLED)

    @handler(
        Operation(
            summary="Disable a device: no further server gets it",
            action=rules.DEVICE_DISABLE,
            status=204,
        )
    )
    def disable(self, call: Call, segment: str) -> None:
        """Keep new binds off the device. The body, if any, does not matter."""
        self._set_status(call, segment, DeviceStatus.MAINTAINING)

    def _set_status(self, call: Call, segment: str, status: DeviceStatus) -> None:
        call.require()
        self.services.conductor.set_device_status(self._load(call, segment).uuid, status)

    def _load(self, call: Call, segment: str) -> Device:
        uuid = canonical_uuid(segment)
        found = None
        if uuid is not None:
            with self.services.database.reader() as connection:
                devices = list_devices(
                    connection,
                    uuid=uuid,
                    with_usage=call.version >= V2_4,
                    with_work=call.version >= DEVICE_WORK,
                )
                found = next(iter(devices), None)
        if found is None:
            raise DeviceNotFound(f"Device {segment} could not be found.")
        return found
