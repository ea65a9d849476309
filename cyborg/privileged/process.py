"""The privileged process and what it does: oslo.privsep starts it when it is first needed.

Nothing that its caller says is believed: it has read the configuration itself, and reads it
again for each verb, so that it knows what the operator allows now.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from oslo_config import cfg
from oslo_privsep import priv_context

from cyborg.conf.privileged import CAPABILITIES, GROUP, THREADS
from cyborg.drivers.contract import DriverError
from cyborg.drivers.host import Files, Host
from cyborg.drivers.pci.options import GROUP as PCI_GROUP
from cyborg.drivers.pci.options import OPTS
from cyborg.privileged.holders import Holders
from cyborg.privileged.operators_list import OperatorsList
from cyborg.privileged.verbs import LocalVerbs
from cyborg.privileged.writer import ChildWriter

T = TypeVar("T")

#: Of the verbs' object, which there must be one of, and of the options while they are read.
_LOCK = threading.Lock()

cyborg_sys_admin = priv_context.PrivContext(
    "cyborg",
    cfg_section=GROUP.name,
    pypath=f"{__name__}.cyborg_sys_admin",
    capabilities=CAPABILITIES,
)
cfg.CONF.set_default("thread_pool_size", THREADS, group=GROUP.name)


@cyborg_sys_admin.entrypoint
def ready() -> None:
    """Return: this process is there."""


@cyborg_sys_admin.entrypoint
def holders(address: str) -> tuple[tuple[bool | None, tuple[str, ...]], str | None]:
    """Return the fields of a possession, or why there are none."""

    def held() -> tuple[bool | None, tuple[str, ...]]:
        found = _verbs().holders(address)
        return found.held, found.by

    return _told(held, (None, ()))


@cyborg_sys_admin.entrypoint
def reset(address: str) -> tuple[None, str | None]:
    """Return why a function was not reset, if it was not."""
    return _told(lambda: _verbs().reset(address), None)


@cyborg_sys_admin.entrypoint
def bind_driver(address: str, driver: str) -> tuple[None, str | None]:
    """Return why a function has not got a driver, if it has not."""
    return _told(lambda: _verbs().bind_driver(address, driver), None)


def _told(verb: Callable[[], T], otherwise: T) -> tuple[T, str | None]:
    """Return what a verb returns, and why it was refused: errors do not cross as they are."""
    try:
        return verb(), None
    except DriverError as error:
        return otherwise, str(error)


def _verbs() -> LocalVerbs:
    """Return the verbs of this process, which remember what hangs."""
    with _LOCK:
        return _made_verbs()


@functools.cache
def _made_verbs() -> LocalVerbs:
    files = Files()
    # What drivers keep is the agent's: there is nothing to remember here.
    host = Host(Path("/nonexistent"), files, remembers=False)
    cfg.CONF.register_opts(OPTS, group=PCI_GROUP.name)
    return LocalVerbs(
        host,
        ChildWriter(),
        Holders(host, files),
        OperatorsList(host, _read_list).allows,
        lambda: float(cfg.CONF.pci.reset_timeout),
    )


def _read_list() -> Sequence[str]:
    with _LOCK:
        cfg.CONF.reload_config_files()
        found: Sequence[str] = cfg.CONF.pci.passthrough_whitelist
        return found
