"""Time and identities, injected so that tests neither sleep nor patch."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable

Clock = Callable[[], datetime.datetime]
NewUuid = Callable[[], str]


def utcnow() -> datetime.datetime:
    """Return the present as an aware UTC datetime."""
    return datetime.datetime.now(datetime.UTC)


def new_uuid() -> str:
    """Return a random uuid as a lower-case string with dashes."""
    return str(uuid.uuid4())


def provider_uuid(name: str) -> str:
    """Return the uuid that a resource provider of this name has always had.

    Existing deployments made it from the name alone; deriving it the same way
    means that their providers are recognised, and that a deployable removed and
    found again is the same one.
    """
    return str(uuid.uuid3(uuid.NAMESPACE_DNS, name))
