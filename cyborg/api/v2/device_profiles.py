"""Device profiles: what users may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsme import types as wtypes

from cyborg.api import microversions, parameters
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
    self_link,
    times,
)
from cyborg.api.microversions import V2_4, Version
from cyborg.api.operations import Answer, Body, Listing, Operation, handler
from cyborg.api.parameters import Kind, Parameter
from cyborg.api.resource import Resource, Routes
from cyborg.api.schemas import accepted
from cyborg.api.v2 import profile_patch
from cyborg.api.v2.profile_schemas import GROUPS, NAME
from cyborg.db.device_profiles import PROFILE_SORT, list_profiles
from cyborg.domain.errors import DeviceProfileNotFound, InvalidInput
from cyborg.domain.model import DeviceProfile
from cyborg.domain.profiles import MAX_DESCRIPTION
from cyborg.policies import device_profiles as rules


class DeviceProfileFields(Declaration):
    """A device profile on the wire."""

    uuid = Field(wtypes.UuidType(), "The device profile's uuid.")
    name = Field(wtypes.text, "Its name, by which flavors refer to it.")
    description = Field(wtypes.text, "What it is for.", nullable=True)
    groups = Field(
        wtypes.ArrayType(wtypes.DictType(wtypes.text, wtypes.text)),
        "The request groups: resources:CLASS, trait:NAME and accel:KEY. The position is the "
        "group's id.",
    )
    links = links_field()
    created_at, updated_at = times()


class DeviceProfileBody(Declaration):
    """What a new device profile is made from; the domain's rules check name and groups."""

    name = Field(Json(NAME), "The name.", mandatory=True)
    groups = Field(Json(GROUPS), "The request groups.", mandatory=True)
    description = Field(
        wtypes.StringType(max_length=MAX_DESCRIPTION), "What it is for.", nullable=True
    )
    uuid = Field(Uuid(), "The uuid; by default a new one.", nullable=True)


VIEW = View[DeviceProfile](DeviceProfileFields, links=self_link("device_profiles"))

#: A uuid has the form of a name.
NAME_OR_UUID = parameters.matching("[A-Za-z0-9_-]{1,255}", "a uuid or a name")

#: A comma list of which no member is empty.
_ALL_NAMES = Kind({"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}, parameters.TEXT.parse)


def _list_schema(version: Version) -> Mapping[str, Any]:
    one = accepted(DeviceProfileBody, version)
    return {"type": "array", "items": one, "minItems": 1, "maxItems": 1}


class DeviceProfilesController(Resource):
    """``/v2/device_profiles``."""

    routes = Routes(
        collection={"GET": "list", "POST": "create", "DELETE": "delete_named"},
        item={"GET": "show", "PATCH": "update", "DELETE": "delete"},
    )
    identifier = Parameter("uuid", NAME_OR_UUID, "The device profile's uuid or name.")

    @handler(
        Operation(
            summary="List device profiles",
            action=rules.GET_ALL,
            parameters=(
                Parameter("name", parameters.NAMES, "Of one of these names, a comma list."),
                Parameter(
                    "resource_class",
                    parameters.matching("[A-Z0-9_]{1,255}", "the name of a resource class"),
                    "Of which a group asks for this resource class.",
                    since=V2_4,
                ),
                Parameter(
                    "trait",
                    parameters.matching("[A-Z0-9_]{1,255}", "the name of a trait"),
                    "Of which a group requires or forbids this trait.",
                    since=V2_4,
                ),
            ),
            listing=Listing(tuple(PROFILE_SORT.columns)),
            answer=Answer(DeviceProfileFields, "device_profiles", many=True),
        )
    )
    def list(self, call: Call) -> object:
        """Return all profiles, or those of the names."""
        call.require()
        return self.page(
            call,
            "device_profiles",
            VIEW,
            lambda connection, page: list_profiles(
                connection,
                names=call.query.get("name"),
                resource_class=call.query.get("resource_class"),
                trait=call.query.get("trait"),
                page=page,
            ),
        )

    @handler(
        Operation(
            summary="Show a device profile",
            action=rules.GET_ONE,
            answer=Answer(DeviceProfileFields, "device_profile"),
        )
    )
    def show(self, call: Call, segment: str) -> object:
        """Return one profile, inside ``device_profile``."""
        if canonical_uuid(segment) is None:
            microversions.require(
                call.version, microversions.PROFILE_BY_NAME, "To show a device profile by its name"
            )
        call.require()
        return {"device_profile": self._wire(call, self._load_one(segment))}

    @handler(
        Operation(
            summary="Create a device profile",
            action=rules.CREATE,
            status=201,
            body=Body("A list of exactly one device profile.", _list_schema),
            answer=Answer(DeviceProfileFields),
            errors=(409,),
        )
    )
    def create(self, call: Call) -> object:
        """Make a profile from a list of exactly one."""
        call.require()
        data = call.body()
        if not isinstance(data, list) or len(data) != 1:
            raise InvalidInput("The body must be a list of exactly one device profile.")
        body = read(DeviceProfileBody, data[0], call.version)
        made = self.services.conductor.create_device_profile(
            name=body.name,
            groups=body.groups,
            description=given(body.description),
            uuid=given(body.uuid),
        )
        return self._wire(call, made)

    @handler(
        Operation(
            summary="Change a device profile",
            action=rules.UPDATE,
            since=V2_4,
            body=Body("A JSON patch of /description, /name and /groups.", profile_patch.schema),
            answer=Answer(DeviceProfileFields, "device_profile"),
            errors=(409,),
        )
    )
    def update(self, call: Call, segment: str) -> object:
        """Change one profile; return it inside ``device_profile``, as it is shown."""
        call.require()
        changes = profile_patch.parse(call.body())
        uuid = self._load_one(segment).uuid
        changed = self.services.conductor.update_device_profile(uuid, changes)
        return {"device_profile": self._wire(call, changed)}

    @handler(
        Operation(
            summary="Delete a device profile",
            action=rules.DELETE,
            status=204,
            errors=(409,),
        )
    )
    def delete(self, call: Call, segment: str) -> None:
        """Delete one profile, by its uuid or name."""
        call.require()
        self.services.conductor.delete_device_profiles([self._load_one(segment).uuid])

    @handler(
        Operation(
            summary="Delete device profiles by their names",
            action=rules.DELETE,
            status=204,
            parameters=(
                Parameter(
                    "value",
                    _ALL_NAMES,
                    "Names, a comma list: all are deleted, or none.",
                    required=True,
                ),
            ),
            errors=(404, 409),
        )
    )
    def delete_named(self, call: Call) -> None:
        """Delete the profiles of ``value``, a list of names: all, or none."""
        names = list(dict.fromkeys(call.query["value"].split(",")))
        if "" in names:
            raise InvalidInput("Missing argument: value, the names of device profiles.")
        call.require()
        found = self._load(names=names)
        missing = sorted(set(names) - {profile.name for profile in found})
        if missing:
            raise DeviceProfileNotFound(f"Device profile {', '.join(missing)} could not be found.")
        self.services.conductor.delete_device_profiles([profile.uuid for profile in found])

    def _wire(self, call: Call, profile: DeviceProfile) -> dict[str, object]:
        return VIEW.writer(call.version, call.base_url)(profile)

    def _load_one(self, segment: str) -> DeviceProfile:
        uuid = canonical_uuid(segment)
        found = self._load(uuids=[uuid]) if uuid is not None else ()
        # A name can look like a uuid.
        found = found or self._load(names=[segment])
        if not found:
            raise DeviceProfileNotFound(f"Device profile {segment} could not be found.")
        return found[0]

    def _load(
        self, *, names: Sequence[str] | None = None, uuids: Sequence[str] | None = None
    ) -> Sequence[DeviceProfile]:
        with self.services.database.reader() as connection:
            return list_profiles(connection, names=names, uuids=uuids)
