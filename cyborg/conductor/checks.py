"""What must hold of the ARQs that a request names, once they are locked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cyborg.conductor.unit import Unit
from cyborg.db.attach_handles import BindTarget
from cyborg.db.attributes import trait_values
from cyborg.db.database import Connection
from cyborg.db.request_changes import LockedRequest
from cyborg.domain.errors import (
    AcceleratorRequestNotFound,
    AcceleratorRequestStateConflict,
    DeviceNotAvailable,
)
from cyborg.domain.profiles import objection
from cyborg.domain.providers import traits_of

#: ARQ uuid to the generation that the decision was made on; None where it does not depend
#: on how the ARQ is (a service may do everything).
Generations = Mapping[str, int] | None


def require_in_time(unit: Unit, arqs: Sequence[LockedRequest]) -> None:
    """Refuse if the caller has left, by what reading the ARQs has told of the time.

    :raises TooLate: so it is.
    """
    if arqs:
        unit.require_in_time(arqs[0].now)


def require_found(arqs: Iterable[LockedRequest], uuids: Collection[str]) -> None:
    """Refuse if one of the ARQs is not there.

    :raises AcceleratorRequestNotFound: so it is.
    """
    missing = set(uuids) - {arq.uuid for arq in arqs}
    if missing:
        raise AcceleratorRequestNotFound(
            f"Accelerator request {', '.join(sorted(missing))} could not be found."
        )


def require_unchanged(arqs: Iterable[LockedRequest], generations: Generations) -> None:
    """Refuse if an ARQ is no longer as it was when the API decided that the caller may.

    An ARQ that a service has bound meanwhile must not be unbound by a user.

    :raises AcceleratorRequestStateConflict: so it is.
    """
    if generations is None:
        return
    for arq in arqs:
        if generations.get(arq.uuid) != arq.generation:
            raise AcceleratorRequestStateConflict(
                f"Accelerator request {arq.uuid} has changed meanwhile; try again."
            )


def require_traits(
    connection: Connection, arqs: Iterable[LockedRequest], targets: Mapping[int, BindTarget]
) -> None:
    """Refuse if a provider's traits, as Placement has them, are not those of an ARQ's group.

    One statement.

    :param targets: ARQ id to its deployable.
    :raises DeviceNotAvailable: so it is.
    """
    values = trait_values(connection, {target.deployable_id for target in targets.values()})
    for arq in arqs:
        target = targets[arq.id]
        reason = objection(arq.group, traits_of(values[target.deployable_id]))
        if reason is not None:
            raise DeviceNotAvailable(f"Deployable {target.deployable_name} {reason}.")
