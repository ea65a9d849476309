"""Accelerator requests (ARQs): one unit of one profile group, for one instance."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence

from wsme import types as wtypes

from cyborg.api import microversions
from cyborg.api.authorization import own_target
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
from cyborg.api.v2.arq_patch import MAX_REQUESTS, Bind, Unbind, parse
from cyborg.db.accelerator_requests import list_requests
from cyborg.domain.errors import (
    AcceleratorRequestNotFound,
    DeviceProfileNotFound,
    Forbidden,
    InvalidInput,
    NotResolvedYet,
)
from cyborg.domain.model import AcceleratorRequest
from cyborg.domain.profiles import check_name
from cyborg.domain.states import RESOLVED
from cyborg.policies import accelerator_requests as rules


class ArqFields(Declaration):
    """An ARQ on the wire."""

    uuid = wtypes.UuidType()
    state = wtypes.text
    device_profile_name = wtypes.text
    device_profile_group_id = int
    hostname = wtypes.text
    device_rp_uuid = wtypes.UuidType()
    instance_uuid = wtypes.UuidType()
    project_id = wtypes.text
    #: The attach fields are filled only while the state is Bound.
    attach_handle_type = wtypes.text
    attach_handle_uuid = wtypes.UuidType()
    attach_handle_info = wtypes.DictType(wtypes.text, wtypes.text)
    links = wtypes.ArrayType(Link)
    created_at = datetime.datetime
    updated_at = datetime.datetime


class ArqBody(Declaration):
    """What new ARQs are made from."""

    device_profile_name = wtypes.wsattr(Json(), mandatory=True)


_VIEW = View[AcceleratorRequest](
    ArqFields,
    attach_handle_type=lambda arq, _: arq.attach_handle.type if arq.attach_handle else "",
    attach_handle_uuid=lambda arq, _: arq.attach_handle.uuid if arq.attach_handle else None,
    attach_handle_info=lambda arq, _: dict(arq.attach_handle.info) if arq.attach_handle else {},
    links=self_link("accelerator_requests"),
)


class AcceleratorRequestsController(Resource):
    """``/v2/accelerator_requests``."""

    routes = Routes(
        collection={"GET": "list", "POST": "create", "PATCH": "patch", "DELETE": "delete_many"},
        item={"GET": "show", "PATCH": "patch", "DELETE": "delete"},
    )

    @handler(status=201)
    def create(self, call: Call) -> object:
        """Make the ARQs of a profile."""
        call.query()
        call.require(rules.CREATE)
        name = read(ArqBody, call.body()).device_profile_name
        if not isinstance(name, str):
            raise InvalidInput("device_profile_name must be a string.")
        try:
            check_name(name)
        except InvalidInput as error:
            raise DeviceProfileNotFound("The device profile could not be found.") from error
        made = self.services.conductor.create_accelerator_requests(name, call.context.project_id)
        return _wire(made, call)

    @handler()
    def list(self, call: Call) -> object:
        """Return the ARQs that the caller may see; of an instance, or resolved ones.

        :raises NotResolvedYet: resolved ones of an instance were asked for, and one is not.
        """
        query = call.query("instance", "bind_state")
        instance = None
        if "instance" in query:
            instance = require_uuid(query["instance"], "instance")
        resolved = query.get("bind_state")
        if resolved not in (None, "resolved"):
            raise InvalidInput("bind_state can only be 'resolved'.")
        call.require(rules.GET_ALL)
        everything = call.authorizer.sees_every_project(call.context)
        with self.services.database.reader() as connection:
            found = list_requests(
                connection,
                instance_uuid=instance,
                project_id=None if everything else call.context.project_id or "",
                states=RESOLVED if resolved and instance is None else None,
            )
        if resolved and any(arq.state not in RESOLVED for arq in found):
            raise NotResolvedYet("An accelerator request of the instance is not resolved yet.")
        return _wire(found, call)

    @handler()
    def show(self, call: Call, segment: str) -> object:
        """Return one ARQ."""
        call.query()
        uuid = require_uuid(segment, "An accelerator request's identifier")
        found = self._load(call, uuids=[uuid])
        if not found:
            raise _not_found([uuid])
        call.require(rules.GET_ONE, found[0])
        return _VIEW(found[0], call.base_url)

    @handler(status=202)
    def patch(self, call: Call, segment: str = "") -> None:
        """Bind or unbind. The body names the ARQs; clients put anything into the path."""
        call.query()
        change = parse(call.body())
        if change.names_project:
            microversions.require(call.version, microversions.PROJECT_IN_PATCH, "/project_id")
        uuids = tuple(change.bindings) if isinstance(change, Bind) else change.uuids
        found = self._load(call, uuids=uuids)
        missing = set(uuids) - {arq.uuid for arq in found}
        if missing:
            raise _not_found(missing)
        for arq in found:
            call.require(rules.UPDATE, arq)
        if change.names_project:
            _require_admin(call)
        if isinstance(change, Unbind):
            self.services.conductor.unbind(uuids, _decided_on(call, found))
            return
        self.services.conductor.bind(
            change.bindings,
            owner_project_id=change.project_id or _owner(call, found),
            by_service=call.context.by_service,
            generations=_decided_on(call, found),
            owner_is_certain=change.names_project or not _is_admin(call),
        )

    @handler(status=204)
    def delete(self, call: Call, segment: str) -> None:
        """Delete one ARQ."""
        call.query()
        self._delete(call, [segment])

    @handler(status=204)
    def delete_many(self, call: Call) -> None:
        """Delete the ARQs of ``arqs``, or all of an ``instance``."""
        query = call.query("arqs", "instance")
        if len(query) != 1:
            raise InvalidInput("Either arqs or instance is needed, and not both.")
        if "instance" in query:
            self._delete_of_instance(call, require_uuid(query["instance"], "instance"))
            return
        names = list_of(query["arqs"])
        self._delete(call, names)

    def _delete(self, call: Call, names: Sequence[str]) -> None:
        """Delete those that exist, then say 404 for the others: Nova relies on it."""
        uuids = [uuid for uuid in map(canonical_uuid, names) if uuid is not None]
        found = self._load(call, uuids=uuids) if uuids else []
        for arq in found:
            call.require(rules.DELETE, arq)
        left = self._delete_found(call, found)
        missing = [name for name in names if canonical_uuid(name) not in left]
        if missing:
            raise _not_found(missing)

    def _delete_of_instance(self, call: Call, instance: str) -> None:
        with self.services.database.reader() as connection:
            found = list_requests(connection, instance_uuid=instance)
        for arq in found:
            call.require(rules.DELETE, arq)
        if not found:
            target = {**own_target(call.context), "bound": True, "bound_by_service": True}
            call.authorizer.require_target(call.context, rules.DELETE, target)
        if call.context.by_service:
            self.services.conductor.delete_accelerator_requests_of(instance)
        else:
            self._delete_found(call, found)

    def _delete_found(self, call: Call, found: Sequence[AcceleratorRequest]) -> set[str]:
        """Delete them; return the uuids of those that were still there."""
        present = [arq.uuid for arq in found]
        if not present:
            return set()
        gone = self.services.conductor.delete_accelerator_requests(
            present, _decided_on(call, found)
        )
        return set(present) - set(gone)

    def _load(self, call: Call, *, uuids: Collection[str]) -> Sequence[AcceleratorRequest]:
        """Return those that exist for the caller."""
        with self.services.database.reader() as connection:
            found = list_requests(connection, uuids=uuids)
        return [arq for arq in found if call.authorizer.sees(call.context, arq)]


def list_of(text: str) -> Sequence[str]:
    """Return the distinct members of a comma list.

    :raises InvalidInput: none, or too many.
    """
    members = list(dict.fromkeys(member for member in text.split(",") if member))
    if not members:
        raise InvalidInput("Missing argument: arqs, the uuids of accelerator requests.")
    if len(members) > MAX_REQUESTS:
        raise InvalidInput(f"At most {MAX_REQUESTS} accelerator requests in one call.")
    return members


def _decided_on(call: Call, found: Sequence[AcceleratorRequest]) -> dict[str, int] | None:
    """Return what must not change before the conductor acts: a user's rights depend on it."""
    if call.context.by_service:
        return None
    return {arq.uuid: arq.generation for arq in found}


def _owner(call: Call, found: Sequence[AcceleratorRequest]) -> str | None:
    """Return whose the instance is, where neither the caller said so nor the conductor knows."""
    if call.context.by_service:
        project_id: str | None = call.context.project_id
        return project_id
    projects = {arq.project_id for arq in found}
    if len(projects) > 1:
        raise InvalidInput("All accelerator requests in one call must be of one project.")
    return projects.pop()


def _is_admin(call: Call) -> bool:
    return call.authorizer.allows(call.context, "system_admin", own_target(call.context))


def _require_admin(call: Call) -> None:
    if not _is_admin(call):
        raise Forbidden("Only the role admin may send /project_id.")


def _wire(arqs: Sequence[AcceleratorRequest], call: Call) -> dict[str, object]:
    return {"arqs": [_VIEW(arq, call.base_url) for arq in arqs]}


def _not_found(uuids: Collection[str]) -> AcceleratorRequestNotFound:
    return AcceleratorRequestNotFound(
        f"Accelerator request {', '.join(sorted(uuids))} could not be found."
    )
