"""The conductor's RPC endpoint: names of use cases, and nothing else.

A method's arguments are :class:`cyborg.rpc.conductor.ConductorClient`'s; the context only
serves the log. What a caller may see of an error crosses in the envelope; anything else
is logged by oslo.messaging with its traceback and reaches the caller without details.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import oslo_messaging

from cyborg.conductor import (
    binding,
    catalogue,
    creating,
    finishing,
    inventory,
    programming,
    releasing,
)
from cyborg.conductor.environment import Environment
from cyborg.domain.model import DeviceStatus
from cyborg.rpc.transport import API_VERSION
from cyborg.rpc.wire import answer

Answer = dict[str, Any]


class ConductorEndpoint:
    """One method a use case."""

    target = oslo_messaging.Target(version=API_VERSION)

    def __init__(self, env: Environment) -> None:
        self._env = env

    def ping(self, ctxt: object) -> Answer:
        """Answer that somebody is here."""
        return answer(lambda: "pong")

    def create_accelerator_requests(
        self,
        ctxt: object,
        device_profile_name: str,
        project_id: str | None,
        by_service: bool = False,
    ) -> Answer:
        """See :func:`cyborg.conductor.creating.create`."""
        return self._do(creating.create, device_profile_name, project_id, by_service)

    def bind(
        self,
        ctxt: object,
        *,
        bindings: dict[str, dict[str, str]],
        owner_project_id: str | None,
        by_service: bool,
        generations: dict[str, int] | None = None,
        owner_is_certain: bool = True,
    ) -> Answer:
        """See :func:`cyborg.conductor.binding.bind`."""
        return answer(
            lambda: binding.bind(
                self._env,
                bindings,
                owner_project_id,
                by_service,
                generations,
                owner_is_certain=owner_is_certain,
            )
        )

    def unbind(
        self, ctxt: object, uuids: list[str], generations: dict[str, int] | None = None
    ) -> Answer:
        """See :func:`cyborg.conductor.releasing.unbind`."""
        return self._do(releasing.unbind, uuids, generations)

    def delete_accelerator_requests(
        self, ctxt: object, uuids: list[str], generations: dict[str, int] | None = None
    ) -> Answer:
        """See :func:`cyborg.conductor.releasing.delete`."""
        return self._do(releasing.delete, uuids, generations)

    def delete_accelerator_requests_of(self, ctxt: object, instance_uuid: str) -> Answer:
        """See :func:`cyborg.conductor.releasing.delete_of_instance`."""
        return self._do(releasing.delete_of_instance, instance_uuid)

    def create_device_profile(
        self,
        ctxt: object,
        name: object,
        groups: object,
        description: str | None,
        uuid: str | None,
    ) -> Answer:
        """See :func:`cyborg.conductor.catalogue.create_device_profile`."""
        return answer(
            lambda: catalogue.create_device_profile(
                self._env, name=name, groups=groups, description=description, uuid=uuid
            )
        )

    def update_device_profile(self, ctxt: object, uuid: str, changes: dict[str, Any]) -> Answer:
        """See :func:`cyborg.conductor.catalogue.update_device_profile`."""
        return self._do(catalogue.update_device_profile, uuid, changes)

    def delete_device_profiles(self, ctxt: object, uuids: list[str]) -> Answer:
        """See :func:`cyborg.conductor.catalogue.delete_device_profiles`."""
        return self._do(catalogue.delete_device_profiles, uuids)

    def set_device_status(self, ctxt: object, uuid: str, status: str) -> Answer:
        """See :func:`cyborg.conductor.catalogue.set_device_status`."""
        return self._do(catalogue.set_device_status, uuid, DeviceStatus(status))

    def create_attribute(self, ctxt: object, deployable: int | str, key: str, value: str) -> Answer:
        """See :func:`cyborg.conductor.catalogue.create_attribute`."""
        return self._do(catalogue.create_attribute, deployable, key, value)

    def delete_attribute(self, ctxt: object, uuid: str) -> Answer:
        """See :func:`cyborg.conductor.catalogue.delete_attribute`."""
        return self._do(catalogue.delete_attribute, uuid)

    def program(
        self, ctxt: object, deployable: str, image_uuid: str, project_id: str | None
    ) -> Answer:
        """See :func:`cyborg.conductor.programming.program`."""
        return self._do(programming.program, deployable, image_uuid, project_id)

    def begin_work(self, ctxt: object, host: str, uuid: str, generation: int, step: int) -> Answer:
        """See :func:`cyborg.conductor.finishing.begin`."""
        return self._do(finishing.begin, host, uuid, generation, step)

    def heartbeat(self, ctxt: object, host: str, digest: str) -> Answer:
        """See :func:`cyborg.conductor.inventory.heartbeat`."""
        return self._do(inventory.heartbeat, host, digest)

    def report(self, ctxt: object, host: str, snapshot: dict[str, Any]) -> Answer:
        """See :func:`cyborg.conductor.inventory.report`."""
        return self._do(inventory.report, host, snapshot)

    def finish_job(
        self, ctxt: object, host: str, uuid: str, generation: int, error: str | None
    ) -> Answer:
        """See :func:`cyborg.conductor.finishing.finish`."""
        return self._do(finishing.finish, host, uuid, generation, error)

    def _do(self, use_case: Callable[..., Any], *arguments: Any) -> Answer:
        return answer(lambda: use_case(self._env, *arguments))
