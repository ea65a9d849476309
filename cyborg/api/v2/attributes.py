"""Attributes: keys and values of deployables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wsme import types as wtypes

from cyborg.api import parameters
from cyborg.api.calls import Call
from cyborg.api.fields import (
    Declaration,
    Field,
    Json,
    Uuid,
    View,
    canonical_uuid,
    given,
    links_field,
    read,
    require_uuid,
    self_link,
    times,
)
from cyborg.api.microversions import V2_4, Version
from cyborg.api.operations import Answer, Body, Listing, Operation, handler
from cyborg.api.parameters import MAX_ID, Parameter
from cyborg.api.resource import Resource, Routes
from cyborg.api.schemas import accepted
from cyborg.db.attributes import ATTRIBUTE_SORT, list_attributes
from cyborg.domain.errors import AttributeNotFound, InvalidInput
from cyborg.domain.model import Attribute
from cyborg.domain.providers import TRAIT_KEY
from cyborg.policies import devices as rules

_ID = re.compile(r"[0-9]{1,19}\Z")
_WHICH = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": MAX_ID},
        {"type": "string", "format": "uuid"},
        {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
    ]
}


class AttributeFields(Declaration):
    """An attribute on the wire."""

    uuid = Field(wtypes.UuidType(), "The attribute's uuid.")
    deployable_id = Field(int, "The internal number of its deployable.", until=V2_4)
    deployable_uuid = Field(wtypes.UuidType(), "Its deployable.", since=V2_4)
    key = Field(wtypes.text, "The key: rc, trait and a number, or an operator's own.")
    value = Field(wtypes.text, "The value.")
    links = links_field()
    created_at, updated_at = times()


class AttributeBody(Declaration):
    """What a new attribute is made from."""

    deployable_id = Field(
        Json(_WHICH), "The number or the uuid of the deployable. Deployed clients send it."
    )
    deployable_uuid = Field(Uuid(), "The uuid of the deployable.", since=V2_4)
    key = Field(
        wtypes.StringType(min_length=1, max_length=255),
        "The key. One that begins with trait makes the value a trait of the provider.",
        mandatory=True,
    )
    value = Field(wtypes.StringType(max_length=255), "The value.", mandatory=True)


VIEW = View[Attribute](AttributeFields, links=self_link("attributes"))


def _body_schema(version: Version) -> Mapping[str, Any]:
    flat = accepted(AttributeBody, version)
    names = ["deployable_id"] + ["deployable_uuid"] * (version >= V2_4)
    # One of them, and not both.
    flat["oneOf"] = [{"required": [name]} for name in names]
    flat["if"] = {"properties": {"key": {"pattern": f"^{TRAIT_KEY}"}}}
    flat["then"] = {"properties": {"value": {"pattern": "^[A-Z0-9_]{1,255}$"}}}
    wrapped = {
        "type": "object",
        "properties": {"attribute": flat},
        "required": ["attribute"],
        "additionalProperties": version < V2_4,
    }
    return {"anyOf": [flat, wrapped]}


class AttributesController(Resource):
    """``/v2/attributes``."""

    routes = Routes(
        collection={"GET": "list", "POST": "create", "DELETE": "delete_nothing"},
        item={"GET": "show", "DELETE": "delete"},
    )

    @handler(
        Operation(
            summary="List attributes",
            action=rules.ATTRIBUTE_GET_ALL,
            parameters=(
                # 0 is how clients say "of any".
                Parameter(
                    "deployable_id",
                    parameters.number(0, parameters.MAX_ID),
                    "Of the deployable of this internal number.",
                    until=V2_4,
                ),
                Parameter("deployable_uuid", parameters.UUID, "Of this deployable.", since=V2_4),
                Parameter("key", parameters.TEXT, "Of this key."),
            ),
            listing=Listing(tuple(ATTRIBUTE_SORT.columns)),
            answer=Answer(AttributeFields, "attributes", many=True),
        )
    )
    def list(self, call: Call) -> object:
        """Return the attributes of a deployable, of a key, or all."""
        call.require()
        return self.page(
            call,
            "attributes",
            VIEW,
            lambda connection, page: list_attributes(
                connection,
                deployable_id=call.query.get("deployable_id") or None,
                deployable_uuid=call.query.get("deployable_uuid"),
                key=call.query.get("key"),
                page=page,
            ),
        )

    @handler(
        Operation(
            summary="Show an attribute",
            action=rules.ATTRIBUTE_GET_ONE,
            answer=Answer(AttributeFields),
        )
    )
    def show(self, call: Call, segment: str) -> object:
        """Return one attribute."""
        uuid = require_uuid(segment, "An attribute's identifier")
        call.require()
        return VIEW.writer(call.version, call.base_url)(self._load(uuid))

    @handler(
        Operation(
            summary="Create an attribute of a deployable",
            action=rules.ATTRIBUTE_CREATE,
            status=201,
            body=Body("The attribute, as it is or inside attribute.", _body_schema),
            answer=Answer(AttributeFields),
            errors=(404, 409),
        )
    )
    def create(self, call: Call) -> object:
        """Make an attribute from a flat body, or from one inside ``attribute``."""
        call.require()
        body = read(AttributeBody, _unwrapped(call.body(), call.version), call.version)
        if body.key is None or body.value is None:
            raise InvalidInput("An attribute needs a key and a value.")
        deployable = _deployable_of(given(body.deployable_id), given(body.deployable_uuid))
        made = self.services.conductor.create_attribute(deployable, body.key, body.value)
        return VIEW.writer(call.version, call.base_url)(made)

    @handler(
        Operation(
            summary="Delete an attribute that an operator created",
            action=rules.ATTRIBUTE_DELETE,
            status=204,
            errors=(409,),
        )
    )
    def delete(self, call: Call, segment: str) -> None:
        """Delete one attribute."""
        uuid = require_uuid(segment, "An attribute's identifier")
        call.require()
        self.services.conductor.delete_attribute(self._load(uuid).uuid)

    @handler(
        Operation(
            summary="Refused: an attribute is deleted by its uuid",
            action=rules.ATTRIBUTE_DELETE,
            # What it always ends with.
            status=400,
        )
    )
    def delete_nothing(self, call: Call) -> None:
        """Refuse to delete what was not named."""
        raise InvalidInput("Missing argument: the uuid of an attribute.")

    def _load(self, uuid: str) -> Attribute:
        with self.services.database.reader() as connection:
            found = list_attributes(connection, uuid=uuid)
        if not found:
            raise AttributeNotFound(f"Attribute {uuid} could not be found.")
        return found[0]


def _unwrapped(data: object, version: Version) -> object:
    if not isinstance(data, dict) or not isinstance(data.get("attribute"), dict):
        return data
    if len(data) > 1 and version >= V2_4:
        raise InvalidInput("Beside attribute there can be nothing else.")
    return data["attribute"]


def _deployable_of(id_: object, uuid: str | None) -> int | str:
    if uuid is None:
        return _body_id(id_)
    if id_ is not None:
        raise InvalidInput("Either deployable_uuid or deployable_id is needed, and not both.")
    return uuid


def _body_id(value: object) -> int | str:
    if isinstance(value, float) and value.is_integer():
        # In JSON 2.0 is a whole number.
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID:
        return value
    uuid = canonical_uuid(value) if isinstance(value, str) else None
    if uuid is not None:
        return uuid
    if isinstance(value, str) and _ID.match(value) and 0 < int(value) <= MAX_ID:
        return int(value)
    raise InvalidInput("deployable_id must be the number or the uuid of a deployable.")
