"""Deployables: the parts of devices that are allocated as units."""

from __future__ import annotations

import json

from wsme import types as wtypes

from cyborg.api import parameters
from cyborg.api.authorization import own_target
from cyborg.api.calls import Call, Services
from cyborg.api.fields import Declaration, Field, View, links_field, require_uuid, times
from cyborg.api.microversions import V2_4
from cyborg.api.operations import Answer, Body, Listing, Operation, handler
from cyborg.api.parameters import Parameter
from cyborg.api.resource import Resource, Routes
from cyborg.api.v2 import attach_handles, program_patch
from cyborg.api.v2.programming import Waiter
from cyborg.api.v2.usage import usage_field, usage_of
from cyborg.db.devices import DEPLOYABLE_SORT, list_deployables, type_of_device
from cyborg.db.usage import HANDLE_SORT, list_handles
from cyborg.domain.errors import DeployableNotFound
from cyborg.domain.model import Deployable, ProgrammingState
from cyborg.policies import devices as rules


class DeployableFields(Declaration):
    """A deployable on the wire."""

    uuid = Field(wtypes.UuidType(), "The deployable's uuid.")
    parent_id = Field(int, "Always null: deployables are not nested.", nullable=True, until=V2_4)
    root_id = Field(int, "Always null, as well.", nullable=True, until=V2_4)
    name = Field(wtypes.text, "The name, which is its resource provider's.")
    num_accelerators = Field(int, "How many its resource provider's inventory has.")
    device_id = Field(int, "The internal number of its device.", until=V2_4)
    device_uuid = Field(wtypes.UuidType(), "Its device.", since=V2_4)
    resource_class = Field(wtypes.text, "The resource class in Placement.", since=V2_4)
    attributes_list = Field(
        wtypes.text, "Its attributes, as JSON text: a list of objects with one key each."
    )
    rp_uuid = Field(wtypes.UuidType(), "Its resource provider in Placement.")
    driver_name = Field(wtypes.text, "The driver's name for the vendor.")
    bitstream_id = Field(wtypes.UuidType(), "The image that it was programmed with.", nullable=True)
    programmable = Field(bool, "Whether its driver can program it.", since=V2_4)
    programming_state = Field(
        wtypes.text,
        "How its newest programming stands.",
        since=V2_4,
        values=tuple(ProgrammingState),
    )
    programming_reason = Field(
        wtypes.text, "Why its newest programming failed.", nullable=True, since=V2_4
    )
    usage = usage_field()
    links = links_field()
    created_at, updated_at = times()


def _links(deployable: Deployable, base: str) -> object:
    return [
        {"href": f"{base}/v2/deployables/{deployable.uuid}", "rel": "self"},
        {"href": f"{base}/deployables/{deployable.uuid}", "rel": "bookmark"},
    ]


def _attributes_list(deployable: Deployable, _base: str) -> object:
    return json.dumps([{key: value} for key, value in deployable.attributes])


VIEW = View[Deployable](
    DeployableFields,
    parent_id=lambda _deployable, _base: None,
    root_id=lambda _deployable, _base: None,
    attributes_list=_attributes_list,
    usage=usage_of,
    links=_links,
)

_SORTABLE = tuple(DEPLOYABLE_SORT.columns)


class DeployablesController(Resource):
    """``/v2/deployables``."""

    routes = Routes(
        collection={"GET": "list"},
        item={"GET": "show"},
        actions={
            "attach_handles": {"GET": "list_handles"},
            "program": {"PATCH": "program"},
        },
        # openstacksdk repeats the uuid.
        action_items={"program": {"PATCH": "program"}},
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._waiter = Waiter(services.database)

    @handler(
        Operation(
            summary="List deployables",
            action=rules.DEPLOYABLE_GET_ALL,
            parameters=(
                Parameter("name", parameters.TEXT, "Of this name.", since=V2_4),
                Parameter("device_uuid", parameters.UUID, "Of this device.", since=V2_4),
                Parameter("rp_uuid", parameters.UUID, "Of this resource provider.", since=V2_4),
                Parameter("driver_name", parameters.TEXT, "Of this driver.", since=V2_4),
                Parameter("resource_class", parameters.TEXT, "Of this class.", since=V2_4),
            ),
            listing=Listing(_SORTABLE, filters=True),
            answer=Answer(DeployableFields, "deployables", many=True),
        )
    )
    def list(self, call: Call) -> object:
        """Return the deployables that have every given value."""
        call.require()
        return self.page(
            call,
            "deployables",
            VIEW,
            lambda connection, page: list_deployables(
                connection, page=page, with_usage=call.version >= V2_4, **call.filters()
            ),
        )

    @handler(
        Operation(
            summary="Show a deployable",
            action=rules.DEPLOYABLE_GET_ONE,
            answer=Answer(DeployableFields),
        )
    )
    def show(self, call: Call, segment: str) -> object:
        """Return one deployable."""
        call.require()
        return VIEW.writer(call.version, call.base_url)(self._load(call, segment))

    @handler(
        Operation(
            summary="List the attach handles of a deployable",
            action=rules.DEPLOYABLE_GET_ONE,
            since=V2_4,
            listing=Listing(tuple(HANDLE_SORT.columns)),
            answer=Answer(attach_handles.AttachHandleFields, "attach_handles", many=True),
        )
    )
    def list_handles(self, call: Call, segment: str) -> object:
        """Return what instances can get of a deployable."""
        call.require()
        deployable = self._load(call, segment)
        return self.page(
            call,
            "attach_handles",
            attach_handles.view(call),
            lambda connection, page: list_handles(connection, deployable.id, page),
            f"deployables/{deployable.uuid}/attach_handles",
        )

    @handler(
        Operation(
            summary="Program a deployable",
            action=rules.DEPLOYABLE_PROGRAM,
            body=Body("A JSON patch that names an image.", program_patch.schema),
            answer=Answer(DeployableFields),
            errors=(404, 409, 502),
        )
    )
    def program(self, call: Call, segment: str) -> object:
        """Let a deployable be programmed; answer as it is at the end, or after a while."""
        uuid = require_uuid(segment, "A deployable's identifier")
        image = program_patch.parse(call.body())
        with self.services.database.reader() as connection:
            device_type = type_of_device(connection, uuid)
        target = {**own_target(call.context), "device_type": device_type or ""}
        call.authorizer.require_target(call.context, call.action, target)
        if device_type is None:
            raise _not_found(uuid)
        job = self.services.conductor.program(uuid, image, call.context.project_id)
        self._waiter.wait(uuid, job, self.services.conf.api.program_wait)
        return VIEW.writer(call.version, call.base_url)(self._load(call, uuid))

    def _load(self, call: Call, segment: str) -> Deployable:
        uuid = require_uuid(segment, "A deployable's identifier")
        with self.services.database.reader() as connection:
            found = list_deployables(connection, uuids=[uuid], with_usage=call.version >= V2_4)
        if not found:
            raise _not_found(uuid)
        return found[0]


def _not_found(uuid: str) -> DeployableNotFound:
    return DeployableNotFound(f"Deployable {uuid} could not be found.")
