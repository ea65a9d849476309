"""Finds and makes the drivers that the operator enabled."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any, NoReturn

from oslo_log import log
from stevedore import exception, extension, named

from cyborg.domain.errors import ConfigurationError
from cyborg.drivers.contract import Driver, DriverEnvironment

LOG = log.getLogger(__name__)

NAMESPACE = "cyborg.accelerator.driver"


def load_drivers(environment: DriverEnvironment) -> tuple[Driver, ...]:
    """Return one object of each driver in ``[agent] enabled_drivers``, in that order.

    :raises ConfigurationError: a name is unknown, or its driver cannot be imported or made.
    """
    names = list(dict.fromkeys(environment.conf.agent.enabled_drivers))
    try:
        manager = named.NamedExtensionManager[Any](
            NAMESPACE,
            names,
            invoke_on_load=True,
            invoke_args=(environment,),
            name_order=True,
            on_load_failure_callback=_refuse_broken,
            on_missing_entrypoints_callback=_refuse_unknown,
            conflict_resolver=extension.error_on_conflict,
        )
    except exception.MultipleMatches as error:
        raise ConfigurationError(f"[agent] enabled_drivers: {error}") from error
    drivers = tuple(_checked(loaded) for loaded in manager)
    LOG.info("drivers loaded names=%s", ",".join(names))
    return drivers


def _checked(loaded: extension.Extension[Any]) -> Driver:
    driver = loaded.obj
    if not isinstance(driver, Driver) or driver.name != loaded.name:
        raise ConfigurationError(
            f"[agent] enabled_drivers: {loaded.entry_point_target} is not a driver that calls "
            f"itself {loaded.name}"
        )
    return driver


def _refuse_broken(_manager: object, entry_point: EntryPoint, error: BaseException) -> NoReturn:
    reason = f"{type(error).__name__}: {error}"
    raise ConfigurationError(
        f"[agent] enabled_drivers: {entry_point.name} cannot be loaded: {_one_line(reason)}"
    ) from error


def _refuse_unknown(missing: Iterable[str]) -> NoReturn:
    points = extension.ExtensionManager[Any](NAMESPACE, on_load_failure_callback=_ignore)
    known = ", ".join(sorted(set(points.entry_points_names()))) or "none is installed"
    raise ConfigurationError(
        f"[agent] enabled_drivers: no driver named {', '.join(sorted(missing))}; known: {known}"
    )


def _ignore(_manager: object, _entry_point: EntryPoint, _error: BaseException) -> None:
    """Only the names of the others are wanted, not why one of them cannot be imported."""


def _one_line(text: str) -> str:
    return " ".join(text.split())
