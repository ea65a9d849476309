"""Accelerator requests on the wire: their fields, and what a list can be asked for."""

from __future__ import annotations

import datetime

from wsme import types as wtypes

from cyborg.api import parameters
from cyborg.api.fields import Declaration, Field, Json, View, links_field, self_link, times
from cyborg.api.microversions import V2_4
from cyborg.api.parameters import Kind, Parameter
from cyborg.domain.model import AcceleratorRequest
from cyborg.domain.states import VISIBLE

#: Of one that is being deleted nobody sees anything.
VISIBLE_STATES = [state.value for state in VISIBLE]


class AcceleratorRequestFields(Declaration):
    """An ARQ on the wire."""

    uuid = Field(wtypes.UuidType(), "The accelerator request's uuid.")
    state = Field(wtypes.text, "Where it stands.", values=tuple(VISIBLE_STATES))
    state_reason = Field(
        wtypes.text,
        "Why a bind or a release has failed; or what has become of what it has: that the device "
        "has moved, for example.",
        nullable=True,
        since=V2_4,
    )
    device_profile_name = Field(wtypes.text, "The device profile that it was made from.")
    device_profile_group_id = Field(int, "The position of its group in the profile.")
    hostname = Field(wtypes.text, "The host that it is bound to.", nullable=True)
    device_rp_uuid = Field(
        wtypes.UuidType(), "The resource provider that it is bound to.", nullable=True
    )
    instance_uuid = Field(wtypes.UuidType(), "The instance that it is bound to.", nullable=True)
    project_id = Field(wtypes.text, "Whose it is: the instance's project.", nullable=True)
    #: The attach fields are filled only while the state is Bound.
    attach_handle_type = Field(
        wtypes.text, "How the accelerator is attached; empty unless the state is Bound."
    )
    attach_handle_uuid = Field(
        wtypes.UuidType(), "The attach handle; null unless the state is Bound.", nullable=True
    )
    attach_handle_info = Field(
        wtypes.DictType(wtypes.text, wtypes.text),
        "Where the accelerator is; empty unless the state is Bound.",
    )
    created_by = Field(
        wtypes.text,
        "Who made it: a service on a user's behalf, or a user directly.",
        since=V2_4,
        values=("service", "user"),
    )
    bound_at = Field(
        datetime.datetime, "When it became Bound; null unless it is.", nullable=True, since=V2_4
    )
    links = links_field()
    created_at, updated_at = times()


class ArqBody(Declaration):
    """What new ARQs are made from."""

    device_profile_name = Field(
        Json({"type": "string"}), "The name of a device profile.", mandatory=True
    )
    device_profile_group_id = Field(
        Json({"type": "null"}), "Without meaning. Deployed clients send null."
    )


VIEW = View[AcceleratorRequest](
    AcceleratorRequestFields,
    state=lambda arq, _: arq.state.shows,
    attach_handle_type=lambda arq, _: arq.attach_handle.type if arq.attach_handle else "",
    attach_handle_uuid=lambda arq, _: arq.attach_handle.uuid if arq.attach_handle else None,
    attach_handle_info=lambda arq, _: dict(arq.attach_handle.info) if arq.attach_handle else {},
    created_by=lambda arq, _: "service" if arq.created_by_service else "user",
    links=self_link("accelerator_requests"),
)

LIST_PARAMETERS = (
    Parameter("instance", parameters.UUID, "Of this instance."),
    Parameter(
        "bind_state",
        parameters.choice(("resolved",)),
        "Only those that are Bound or have failed. With an instance: 423 while one has not.",
    ),
    Parameter("state", parameters.choice(VISIBLE_STATES), "In this state.", since=V2_4),
    Parameter("hostname", parameters.TEXT, "Bound to this host.", since=V2_4),
    Parameter(
        "project_id",
        parameters.TEXT,
        "Of this project; another than one's own needs the right to read it.",
        since=V2_4,
    ),
    Parameter("device_profile_name", parameters.TEXT, "Of this device profile.", since=V2_4),
)

#: A comma list with something in it.
ARQS = Kind({"type": "string", "pattern": "[^,]"}, parameters.NAMES.parse)
