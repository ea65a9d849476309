"""Accelerator requests (ARQs): one unit of one profile group, for one instance."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cyborg.api import microversions, parameters
from cyborg.api.authorization import own_target
from cyborg.api.calls import Call
from cyborg.api.fields import (
    canonical_uuid,
    given,
    read,
    require_uuid,
)
from cyborg.api.microversions import V2_4
from cyborg.api.operations import Answer, Body, Listing, Operation, handler
from cyborg.api.parameters import Parameter
from cyborg.api.resource import Resource, Routes
from cyborg.api.schemas import accepted
from cyborg.api.v2 import arq_patch
from cyborg.api.v2.arq_fields import (
    ARQS,
    LIST_PARAMETERS,
    VIEW,
    AcceleratorRequestFields,
    ArqBody,
)
from cyborg.api.v2.arq_patch import MAX_REQUESTS, Bind, Unbind, parse
from cyborg.db.accelerator_requests import ARQ_SORT, list_requests
from cyborg.db.database import Connection
from cyborg.domain.errors import (
    AcceleratorRequestNotFound,
    DeviceProfileNotFound,
    Forbidden,
    InvalidInput,
    NotResolvedYet,
)
from cyborg.domain.model import AcceleratorRequest
from cyborg.domain.paging import Page
from cyborg.domain.profiles import check_name
from cyborg.domain.states import RESOLVED, ArqState, showing
from cyborg.policies import accelerator_requests as rules


class AcceleratorRequestsController(Resource):
    """``/v2/accelerator_requests``."""

    routes = Routes(
        collection={"GET": "list", "POST": "create", "PATCH": "patch", "DELETE": "delete_many"},
        item={"GET": "show", "PATCH": "patch", "DELETE": "delete"},
    )

    @handler(
        Operation(
            summary="Create the accelerator requests of a device profile",
            action=rules.CREATE,
            status=201,
            body=Body("Which device profile.", lambda version: accepted(ArqBody, version)),
            answer=Answer(AcceleratorRequestFields, "arqs", many=True),
            errors=(404,),
        )
    )
    def create(self, call: Call) -> object:
        """Make the ARQs of a profile."""
        call.require()
        body = read(ArqBody, call.body(), call.version)
        if call.version >= V2_4 and given(body.device_profile_group_id) is not None:
            raise InvalidInput("device_profile_group_id can only be null.")
        name = body.device_profile_name
        if not isinstance(name, str):
            raise InvalidInput("device_profile_name must be a string.")
        try:
            check_name(name)
        except InvalidInput as error:
            raise DeviceProfileNotFound("The device profile could not be found.") from error
        made = self.services.conductor.create_accelerator_requests(
            name, call.context.project_id, call.context.is_service
        )
        write = VIEW.writer(call.version, call.base_url)
        return {"arqs": [write(arq) for arq in made]}

    @handler(
        Operation(
            summary="List accelerator requests",
            action=rules.GET_ALL,
            parameters=LIST_PARAMETERS,
            listing=Listing(tuple(ARQ_SORT.columns)),
            answer=Answer(AcceleratorRequestFields, "arqs", many=True),
            errors=(423,),
        )
    )
    def list(self, call: Call) -> object:
        """Return the ARQs that the caller may see; of an instance, or resolved ones.

        :raises NotResolvedYet: resolved ones of an instance were asked for, and one is not.
        """
        call.require()
        query = call.query
        instance, resolved = query.get("instance"), "bind_state" in query
        states = showing(ArqState(query["state"])) if "state" in query else None
        if resolved and instance is None:
            states = RESOLVED if states is None else RESOLVED & states

        def find(connection: Connection, page: Page) -> Sequence[AcceleratorRequest]:
            if resolved and instance is not None:
                self._require_resolved(call, connection, instance)
            return list_requests(
                connection,
                instance_uuid=instance,
                visible_project_id=_visible_project(call),
                project_id=_project_of(call),
                states=states,
                hostname=query.get("hostname"),
                device_profile_name=query.get("device_profile_name"),
                page=page,
            )

        path = "accelerator_requests"
        return self.page(call, "arqs", VIEW, find, path)

    def _require_resolved(self, call: Call, connection: Connection, instance: str) -> None:
        waiting = list_requests(
            connection,
            instance_uuid=instance,
            visible_project_id=_visible_project(call),
            states=set(ArqState) - RESOLVED,
            page=Page(limit=1),
        )
        if waiting:
            raise NotResolvedYet("An accelerator request of the instance is not resolved yet.")

    @handler(
        Operation(
            summary="Show an accelerator request",
            action=rules.GET_ONE,
            answer=Answer(AcceleratorRequestFields),
        )
    )
    def show(self, call: Call, segment: str) -> object:
        """Return one ARQ."""
        uuid = require_uuid(segment, "An accelerator request's identifier")
        found = self._load(call, uuids=[uuid])
        if not found:
            raise _not_found([uuid])
        call.require(found[0])
        return VIEW.writer(call.version, call.base_url)(found[0])

    @handler(
        Operation(
            summary="Bind or unbind accelerator requests",
            action=rules.UPDATE,
            status=202,
            body=Body("Accelerator requests, and a JSON patch for each.", arq_patch.schema),
            errors=(404, 409),
            identifier=Parameter("uuid", parameters.SEGMENT, "Anything: the body says which."),
        )
    )
    def patch(self, call: Call, segment: str = "") -> None:
        """Bind or unbind. The body names the ARQs; clients put anything into the path."""
        change = parse(call.body())
        if change.names_project:
            microversions.require(call.version, microversions.PROJECT_IN_PATCH, "/project_id")
        uuids = tuple(change.bindings) if isinstance(change, Bind) else change.uuids
        found = self._load(call, uuids=uuids)
        missing = set(uuids) - {arq.uuid for arq in found}
        if missing:
            raise _not_found(missing)
        for arq in found:
            call.require(arq)
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

    @handler(
        Operation(
            summary="Delete an accelerator request",
            action=rules.DELETE,
            status=204,
            errors=(409,),
        )
    )
    def delete(self, call: Call, segment: str) -> None:
        """Delete one ARQ."""
        self._delete(call, [segment])

    @handler(
        Operation(
            summary="Delete accelerator requests, or all of an instance",
            action=rules.DELETE,
            status=204,
            parameters=(
                Parameter(
                    "arqs",
                    ARQS,
                    "Uuids, a comma list. Those that exist are deleted; then 404 for the others.",
                ),
                Parameter("instance", parameters.UUID, "All of this instance; none is fine."),
            ),
            errors=(404, 409),
        )
    )
    def delete_many(self, call: Call) -> None:
        """Delete the ARQs of ``arqs``, or all of an ``instance``."""
        if len(call.query) != 1:
            raise InvalidInput("Either arqs or instance is needed, and not both.")
        if "instance" in call.query:
            self._delete_of_instance(call, call.query["instance"])
            return
        names = call.query["arqs"]
        if not names:
            raise InvalidInput("Missing argument: arqs, the uuids of accelerator requests.")
        if len(names) > MAX_REQUESTS:
            raise InvalidInput(f"At most {MAX_REQUESTS} accelerator requests in one call.")
        self._delete(call, names)

    def _delete(self, call: Call, names: Sequence[str]) -> None:
        """Delete those that exist, then say 404 for the others: Nova relies on it."""
        uuids = [uuid for uuid in map(canonical_uuid, names) if uuid is not None]
        found = self._load(call, uuids=uuids) if uuids else []
        for arq in found:
            call.require(arq)
        left = self._delete_found(call, found)
        missing = [name for name in names if canonical_uuid(name) not in left]
        if missing:
            raise _not_found(missing)

    def _delete_of_instance(self, call: Call, instance: str) -> None:
        with self.services.database.reader() as connection:
            found = list_requests(connection, instance_uuid=instance)
        for arq in found:
            call.require(arq)
        if not found:
            target = {**own_target(call.context), "bound": True, "bound_by_service": True}
            call.authorizer.require_target(call.context, rules.DELETE, target)
        # By their uuids: the instance may have others by the time that a conductor sees to it.
        self._delete_found(call, found, of=instance)

    def _delete_found(
        self, call: Call, found: Sequence[AcceleratorRequest], *, of: str | None = None
    ) -> set[str]:
        """Delete them; return the uuids of those that were still there.

        :param of: the instance that they must still be bound to.
        """
        present = [arq.uuid for arq in found]
        if not present:
            return set()
        gone = self.services.conductor.delete_accelerator_requests(
            present, _decided_on(call, found), instance_uuid=of
        )
        return set(present) - set(gone)

    def _load(self, call: Call, *, uuids: Collection[str]) -> Sequence[AcceleratorRequest]:
        """Return those that exist for the caller."""
        with self.services.database.reader() as connection:
            found = list_requests(connection, uuids=uuids)
        return [arq for arq in found if call.authorizer.sees(call.context, arq)]


def _visible_project(call: Call) -> str | None:
    """Return the one project whose ARQs exist for the caller; None: any project's do."""
    if call.authorizer.sees_every_project(call.context):
        return None
    # A token without a project sees no project's.
    return call.context.project_id or ""


def _project_of(call: Call) -> str | None:
    """Return the project that was asked for.

    :raises Forbidden: it is another's, which the caller may not read.
    """
    asked: str | None = call.query.get("project_id")
    if asked is not None and not call.authorizer.sees_project(call.context, asked):
        raise Forbidden("Only one's own project's accelerator requests can be asked for.")
    return asked


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


def _not_found(uuids: Collection[str]) -> AcceleratorRequestNotFound:
    return AcceleratorRequestNotFound(
        f"Accelerator request {', '.join(sorted(uuids))} could not be found."
    )
