"""The conductor as the API sees it. Every call may raise ``RemoteError`` (the conductor's refusal,
with code and status) or ``ServiceUnavailable``.

A method has the signature of its use case: see ``cyborg.conductor.endpoint``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyborg.domain.model import AcceleratorRequest, Attribute, DeviceProfile, DeviceStatus
from cyborg.rpc.caller import Client
from cyborg.rpc.transport import API_DOOR
from cyborg.rpc.wire import from_wire


class ConductorClient(Client):
    """What the API may ask for."""

    door = API_DOOR
    listens = True

    def create_accelerator_requests(
        self, device_profile_name: str, project_id: str | None, by_service: bool = False
    ) -> list[AcceleratorRequest]:
        """Make one ARQ for each unit of each group of the profile, all or none.

        :param by_service: a service asks, not the user.
        """
        made = self._call(
            "create_accelerator_requests",
            device_profile_name=device_profile_name,
            project_id=project_id,
            by_service=by_service,
        )
        return from_wire(list[AcceleratorRequest], made)

    def bind(
        self,
        bindings: Mapping[str, Mapping[str, str]],
        owner_project_id: str | None,
        by_service: bool,
        generations: Mapping[str, int] | None = None,
        *,
        owner_is_certain: bool = True,
    ) -> None:
        """Bind ARQs, all or none; again with the same values is a success without effect.

        :param bindings: ARQ uuid to ``hostname``, ``device_rp_uuid``, ``instance_uuid``.
        :param owner_project_id: whose the instance is, unless that is remembered.
        :param by_service: a service asked, on its token.
        :param generations: refuse unless the ARQs are still at these; for a caller who may
            do this only because of how they are.
        :param owner_is_certain: False: the caller may act on anybody's instance, so Nova is
            asked whose it is, unless that is remembered.
        """
        self._call(
            "bind",
            bindings={uuid: dict(binding) for uuid, binding in bindings.items()},
            owner_project_id=owner_project_id,
            by_service=by_service,
            generations=generations,
            owner_is_certain=owner_is_certain,
        )

    def unbind(self, uuids: Sequence[str], generations: Mapping[str, int] | None = None) -> None:
        """Unbind ARQs, all or none. An ARQ that holds nothing stays as it is.

        :param generations: as with :meth:`bind`.
        """
        self._call("unbind", uuids=list(uuids), generations=generations)

    def delete_accelerator_requests(
        self,
        uuids: Sequence[str],
        generations: Mapping[str, int] | None = None,
        *,
        instance_uuid: str | None = None,
    ) -> list[str]:
        """Delete those that exist; return the uuids of those that do not.

        :param generations: as with :meth:`bind`.
        :param instance_uuid: leave those alone that are not this instance's any more.
        """
        of = {} if instance_uuid is None else {"instance_uuid": instance_uuid}
        return list(
            self._call(
                "delete_accelerator_requests", uuids=list(uuids), generations=generations, **of
            )
        )

    def create_device_profile(
        self,
        *,
        name: object,
        groups: object,
        description: str | None,
        uuid: str | None,
    ) -> DeviceProfile:
        """Check and store a profile; without a uuid it gets one."""
        made = self._call(
            "create_device_profile",
            name=name,
            groups=groups,
            description=description,
            uuid=uuid,
        )
        return from_wire(DeviceProfile, made)

    def update_device_profile(self, uuid: str, changes: Mapping[str, object]) -> DeviceProfile:
        """Check and change a profile's ``description``, ``name`` or ``groups``.

        The last two are refused while ARQs use it.
        """
        changed = self._call("update_device_profile", uuid=uuid, changes=dict(changes))
        return from_wire(DeviceProfile, changed)

    def delete_device_profiles(self, uuids: Sequence[str]) -> None:
        """Delete profiles, all or none; refused while ARQs use one of them."""
        self._call("delete_device_profiles", uuids=list(uuids))

    def set_device_status(self, uuid: str, status: DeviceStatus) -> None:
        """Enable or disable a device. After the answer no new bind takes a disabled one."""
        self._call("set_device_status", uuid=uuid, status=status.value)

    def create_attribute(self, deployable: int | str, key: str, value: str) -> Attribute:
        """Store an attribute of a deployable, given by its id or uuid."""
        made = self._call("create_attribute", deployable=deployable, key=key, value=value)
        return from_wire(Attribute, made)

    def delete_attribute(self, uuid: str) -> None:
        """Delete an attribute."""
        self._call("delete_attribute", uuid=uuid)

    def program(self, deployable: str, image_uuid: str, project_id: str | None) -> str:
        """Begin to program a deployable, given by its uuid; return the uuid of the job.

        Its end shows in the deployable. The same again while it goes on has no second effect.

        :param project_id: who must be allowed to use the image, and nobody else may hold a
            handle of the deployable.
        """
        return str(
            self._call(
                "program", deployable=deployable, image_uuid=image_uuid, project_id=project_id
            )
        )
