"""Attributes: keys and values of deployables."""

from __future__ import annotations

import datetime
import re

from wsme import types as wtypes

from cyborg.api.calls import Call, handler
from cyborg.api.fields import (
    Declaration,
    Json,
    Link,
    View,
    canonical_uuid,
    read,
    require_uuid,
    self_link,
)
from cyborg.api.root import Resource, Routes
from cyborg.db.devices import list_attributes
from cyborg.domain.errors import AttributeNotFound, InvalidInput
from cyborg.domain.model import Attribute
from cyborg.policies import devices as rules

#: What the column takes.
_MAX_ID = 2**31 - 1
_ID = re.compile(r"[0-9]{1,10}\Z")


class AttributeFields(Declaration):
    """An attribute on the wire."""

    uuid = wtypes.UuidType()
    #: The internal number of the deployable, as ``device_id`` is of a device.
    deployable_id = int
    key = wtypes.text
    value = wtypes.text
    links = wtypes.ArrayType(Link)
    created_at = datetime.datetime
    updated_at = datetime.datetime


class AttributeBody(Declaration):
    """What a new attribute is made from."""

    #: A number, or a uuid.
    deployable_id = wtypes.wsattr(Json(), mandatory=True)
    key = wtypes.wsattr(wtypes.StringType(min_length=1, max_length=255), mandatory=True)
    value = wtypes.wsattr(wtypes.StringType(max_length=255), mandatory=True)


_VIEW = View[Attribute](AttributeFields, links=self_link("attributes"))


class AttributesController(Resource):
    """``/v2/attributes``."""

    routes = Routes(
        collection={"GET": "list", "POST": "create", "DELETE": "delete_nothing"},
        item={"GET": "show", "DELETE": "delete"},
    )

    @handler()
    def list(self, call: Call) -> object:
        """Return the attributes of a deployable, of a key, or all."""
        query = call.query("deployable_id", "key")
        deployable_id = _query_id(query["deployable_id"]) if "deployable_id" in query else None
        call.require(rules.ATTRIBUTE_GET_ALL)
        with self.services.database.reader() as connection:
            found = list_attributes(
                # 0 is how clients say "of any".
                connection,
                deployable_id=deployable_id or None,
                key=query.get("key"),
            )
        return {"attributes": [_VIEW(attribute, call.base_url) for attribute in found]}

    @handler()
    def show(self, call: Call, segment: str) -> object:
        """Return one attribute."""
        call.query()
        uuid = require_uuid(segment, "An attribute's identifier")
        call.require(rules.ATTRIBUTE_GET_ONE)
        return _VIEW(self._load(uuid), call.base_url)

    @handler(status=201)
    def create(self, call: Call) -> object:
        """Make an attribute from a flat body, or from one inside ``attribute``."""
        call.query()
        call.require(rules.ATTRIBUTE_CREATE)
        data = call.body()
        if isinstance(data, dict) and isinstance(data.get("attribute"), dict):
            data = data["attribute"]
        body = read(AttributeBody, data)
        if body.key is None or body.value is None:
            raise InvalidInput("An attribute needs a key and a value.")
        made = self.services.conductor.create_attribute(
            _body_id(body.deployable_id), body.key, body.value
        )
        return _VIEW(made, call.base_url)

    @handler(status=204)
    def delete(self, call: Call, segment: str) -> None:
        """Delete one attribute."""
        call.query()
        uuid = require_uuid(segment, "An attribute's identifier")
        call.require(rules.ATTRIBUTE_DELETE)
        self.services.conductor.delete_attribute(self._load(uuid).uuid)

    @handler(status=204)
    def delete_nothing(self, call: Call) -> None:
        """Refuse to delete what was not named."""
        raise InvalidInput("Missing argument: the uuid of an attribute.")

    def _load(self, uuid: str) -> Attribute:
        with self.services.database.reader() as connection:
            found = list_attributes(connection, uuid=uuid)
        if not found:
            raise AttributeNotFound(f"Attribute {uuid} could not be found.")
        return found[0]


def _query_id(text: str) -> int:
    if not _ID.match(text) or int(text) > _MAX_ID:
        raise InvalidInput("deployable_id must be a number.")
    return int(text)


def _body_id(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_ID:
        return value
    uuid = canonical_uuid(value) if isinstance(value, str) else None
    if uuid is not None:
        return uuid
    if isinstance(value, str) and _ID.match(value):
        return _query_id(value)
    raise InvalidInput("deployable_id must be the number or the uuid of a deployable.")
