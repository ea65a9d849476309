"""Deployables: the parts of devices that are allocated as units."""

from __future__ import annotations

import datetime
import json

from wsme import types as wtypes

from cyborg.api.calls import Call, handler
from cyborg.api.fields import Declaration, Link, View, require_uuid
from cyborg.api.root import Resource, Routes
from cyborg.db.devices import list_deployables
from cyborg.domain.errors import DeployableNotFound
from cyborg.domain.model import Deployable
from cyborg.policies import devices as rules


class DeployableFields(Declaration):
    """A deployable on the wire."""

    uuid = wtypes.UuidType()
    #: Always null: deployables are not nested.
    parent_id = int
    root_id = int
    name = wtypes.text
    num_accelerators = int
    device_id = int
    #: JSON text: a list of objects with one key each.
    attributes_list = wtypes.text
    rp_uuid = wtypes.UuidType()
    driver_name = wtypes.text
    bitstream_id = wtypes.UuidType()
    links = wtypes.ArrayType(Link)
    created_at = datetime.datetime
    updated_at = datetime.datetime


def _links(deployable: Deployable, base: str) -> object:
    return [
        {"href": f"{base}/v2/deployables/{deployable.uuid}", "rel": "self"},
        {"href": f"{base}/deployables/{deployable.uuid}", "rel": "bookmark"},
    ]


def _attributes_list(deployable: Deployable, _base: str) -> object:
    return json.dumps([{key: value} for key, value in deployable.attributes])


_VIEW = View[Deployable](
    DeployableFields,
    parent_id=lambda _deployable, _base: None,
    root_id=lambda _deployable, _base: None,
    attributes_list=_attributes_list,
    links=_links,
)


class DeployablesController(Resource):
    """``/v2/deployables``."""

    routes = Routes(collection={"GET": "list"}, item={"GET": "show"})

    @handler()
    def list(self, call: Call) -> object:
        """Return all deployables, or the one of a name."""
        query = call.query("name")
        call.require(rules.DEPLOYABLE_GET_ALL)
        with self.services.database.reader() as connection:
            found = list_deployables(connection, name=query.get("name"))
        return {"deployables": [_VIEW(deployable, call.base_url) for deployable in found]}

    @handler()
    def show(self, call: Call, segment: str) -> object:
        """Return one deployable."""
        call.query()
        uuid = require_uuid(segment, "A deployable's identifier")
        call.require(rules.DEPLOYABLE_GET_ONE)
        with self.services.database.reader() as connection:
            found = list_deployables(connection, uuids=[uuid])
        if not found:
            raise DeployableNotFound(f"Deployable {uuid} could not be found.")
        return _VIEW(found[0], call.base_url)
