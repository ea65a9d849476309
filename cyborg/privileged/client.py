"""The verbs as the agent calls them: the privileged process does them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from oslo_privsep import daemon, priv_context

from cyborg.domain.text import plain
from cyborg.drivers.errors import DriverError
from cyborg.drivers.host import Possession
from cyborg.privileged import process

T = TypeVar("T")

_BROKEN = (OSError, RuntimeError, daemon.FailedToDropPrivileges, daemon.ProtocolError)


class PrivilegedVerbs:
    """See :class:`cyborg.drivers.host.Verbs`. The process begins with the first of them."""

    def __init__(self) -> None:
        # Whoever is root needs nobody's leave; sudo must not wait for a password.
        priv_context.init(["env"] if os.geteuid() == 0 else ["sudo", "-n"])

    def start(self) -> None:
        """Start the privileged process, so that it need not be waited for later.

        :raises DriverError: it cannot be started. It is tried again by the next verb.
        """
        _asked(lambda: (None, process.ready()))

    def holders(self, address: str) -> Possession:
        """See :class:`cyborg.drivers.host.Verbs`."""
        held, by = _asked(lambda: process.holders(address))
        return Possession(held, tuple(by))

    def reset(self, address: str) -> None:
        """See :class:`cyborg.drivers.host.Verbs`."""
        _asked(lambda: process.reset(address))

    def bind_driver(self, address: str, driver: str) -> None:
        """See :class:`cyborg.drivers.host.Verbs`."""
        _asked(lambda: process.bind_driver(address, driver))


def _asked(verb: Callable[[], tuple[T, str | None]]) -> T:
    try:
        result, refused = verb()
    except _BROKEN as error:
        reason = plain(f"{type(error).__name__}: {error}", 300)
        raise DriverError(f"the privileged process cannot be asked: {reason}") from error
    if refused is not None:
        raise DriverError(refused)
    return result
