"""Device profiles: what users may ask for."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from wsme import types as wtypes

from cyborg.api import microversions
from cyborg.api.calls import Call, handler
from cyborg.api.fields import Declaration, Json, Link, View, canonical_uuid, given, read, self_link
from cyborg.api.root import Resource, Routes
from cyborg.db.device_profiles import list_profiles
from cyborg.domain.errors import DeviceProfileNotFound, InvalidInput
from cyborg.domain.model import DeviceProfile
from cyborg.policies import device_profiles as rules


class DeviceProfileFields(Declaration):
    """A device profile on the wire."""

    uuid = wtypes.UuidType()
    name = wtypes.text
    description = wtypes.text
    #: The position is the group's id.
    groups = wtypes.ArrayType(wtypes.DictType(wtypes.text, wtypes.text))
    links = wtypes.ArrayType(Link)
    created_at = datetime.datetime
    updated_at = datetime.datetime


class DeviceProfileBody(Declaration):
    """What a new device profile is made from; the domain's rules check name and groups."""

    name = wtypes.wsattr(Json(), mandatory=True)
    groups = wtypes.wsattr(Json(), mandatory=True)
    description = wtypes.text
    uuid = wtypes.UuidType()


_VIEW = View[DeviceProfile](DeviceProfileFields, links=self_link("device_profiles"))


class DeviceProfilesController(Resource):
    """``/v2/device_profiles``."""

    routes = Routes(
        collection={"GET": "list", "POST": "create", "DELETE": "delete_named"},
        item={"GET": "show", "DELETE": "delete"},
    )

    @handler()
    def list(self, call: Call) -> object:
        """Return all profiles, or those of the names."""
        query = call.query("name")
        call.require(rules.GET_ALL)
        names = query["name"].split(",") if "name" in query else None
        found = self._load(names=names)
        return {"device_profiles": [_VIEW(profile, call.base_url) for profile in found]}

    @handler()
    def show(self, call: Call, segment: str) -> object:
        """Return one profile, inside ``device_profile``."""
        call.query()
        if canonical_uuid(segment) is None:
            microversions.require(
                call.version, microversions.PROFILE_BY_NAME, "To show a device profile by its name"
            )
        call.require(rules.GET_ONE)
        return {"device_profile": _VIEW(self._load_one(segment), call.base_url)}

    @handler(status=201)
    def create(self, call: Call) -> object:
        """Make a profile from a list of exactly one."""
        call.query()
        call.require(rules.CREATE)
        data = call.body()
        if not isinstance(data, list) or len(data) != 1:
            raise InvalidInput("The body must be a list of exactly one device profile.")
        body = read(DeviceProfileBody, data[0])
        made = self.services.conductor.create_device_profile(
            name=body.name,
            groups=body.groups,
            description=given(body.description),
            uuid=given(body.uuid),
        )
        return _VIEW(made, call.base_url)

    @handler(status=204)
    def delete(self, call: Call, segment: str) -> None:
        """Delete one profile, by its uuid or name."""
        call.query()
        call.require(rules.DELETE)
        self.services.conductor.delete_device_profiles([self._load_one(segment).uuid])

    @handler(status=204)
    def delete_named(self, call: Call) -> None:
        """Delete the profiles of ``value``, a list of names: all, or none."""
        names = list(dict.fromkeys(call.query("value").get("value", "").split(",")))
        if "" in names:
            raise InvalidInput("Missing argument: value, the names of device profiles.")
        call.require(rules.DELETE)
        found = self._load(names=names)
        missing = sorted(set(names) - {profile.name for profile in found})
        if missing:
            raise DeviceProfileNotFound(f"Device profile {', '.join(missing)} could not be found.")
        self.services.conductor.delete_device_profiles([profile.uuid for profile in found])

    def _load_one(self, segment: str) -> DeviceProfile:
        uuid = canonical_uuid(segment)
        found = self._load(names=[segment]) if uuid is None else self._load(uuids=[uuid])
        if not found:
            raise DeviceProfileNotFound(f"Device profile {segment} could not be found.")
        return found[0]

    def _load(
        self, *, names: Sequence[str] | None = None, uuids: Sequence[str] | None = None
    ) -> Sequence[DeviceProfile]:
        with self.services.database.reader() as connection:
            return list_profiles(connection, names=names, uuids=uuids)
