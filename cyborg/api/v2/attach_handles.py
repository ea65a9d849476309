"""Attach handles on the wire, below their deployable."""

from __future__ import annotations

from wsme import types as wtypes

from cyborg.api.calls import Call
from cyborg.api.fields import Declaration, Field, View, times
from cyborg.domain.model import HandleState, ListedHandle


class AttachHandleFields(Declaration):
    """An attach handle on the wire."""

    uuid = Field(wtypes.UuidType(), "The attach handle's uuid.")
    type = Field(wtypes.text, "How it is attached: PCI, MDEV and others.")
    info = Field(
        wtypes.DictType(wtypes.text, wtypes.text), "Where it is: a PCI address, for example."
    )
    state = Field(wtypes.text, "What it is doing.", values=tuple(HandleState))
    state_reason = Field(
        wtypes.text,
        "What is wrong with it: why it is quarantined, why it has to be cleaned first, or what "
        "has become of its device.",
        nullable=True,
    )
    accelerator_request_uuid = Field(
        wtypes.UuidType(),
        "The accelerator request that has it. Null if there is none, or if it does not exist "
        "for the caller.",
        nullable=True,
    )
    created_at, updated_at = times()


def view(call: Call) -> View[ListedHandle]:
    """Return how handles look for a caller, who may not see every owner."""

    def owner(handle: ListedHandle, _base: str) -> str | None:
        if handle.state is not HandleState.USED:
            return None
        visible = call.authorizer.sees_project(call.context, handle.project_id)
        return handle.accelerator_request_uuid if visible else None

    return View(AttachHandleFields, accelerator_request_uuid=owner)
