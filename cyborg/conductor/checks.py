"""What must hold of the ARQs that a request names, once they are locked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from cyborg.db.request_changes import LockedRequest
from cyborg.domain.errors import AcceleratorRequestNotFound, AcceleratorRequestStateConflict

#: ARQ uuid to the generation that the decision was made on; None where it does not depend
#: on how the ARQ is (a service may do everything).
Generations = Mapping[str, int] | None


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
