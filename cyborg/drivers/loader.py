"""Finds and makes the drivers that the operator enabled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint
from typing import NoReturn

from oslo_config import cfg
from oslo_log import log
from stevedore import exception, extension, named

from cyborg.domain.errors import ConfigurationError
from cyborg.drivers.contract import (
    VERSION,
    Driver,
    DriverEnvironment,
    JointDriver,
    StepwiseDriver,
)

LOG = log.getLogger(__name__)

NAMESPACE = "cyborg.accelerator.driver"


def load_drivers(environment: DriverEnvironment) -> tuple[Driver, ...]:
    """Return one object of each driver in ``[agent] enabled_drivers``, in that order.

    The options of all of them are registered before the first is made, and each is configured.

    :raises ConfigurationError: if a name is unknown, or its driver cannot be imported or made, or
        refuses its options.
    """
    names = list(dict.fromkeys(environment.conf.agent.enabled_drivers))
    classes = find_drivers(names)
    for driver_class in classes:
        register_options(environment.conf, driver_class)
    drivers = tuple(_made(driver_class, environment) for driver_class in classes)
    for driver in drivers:
        configure(driver)
    LOG.info("drivers loaded names=%s", ",".join(names))
    return drivers


def configure(driver: Driver) -> None:
    """Let a driver read its options; what it had read before stays where that fails.

    :raises ConfigurationError: it refuses them, or has a bug.
    """
    try:
        driver.configure()
    except ConfigurationError:
        raise
    except Exception as error:  # a driver may raise anything
        raise _broken(driver.name, error) from error


def find_drivers(names: Sequence[str]) -> tuple[type[Driver], ...]:
    """Return the classes of these drivers, in this order. No other driver is imported.

    :raises ConfigurationError: if a name is unknown, or its driver cannot be imported.
    """
    try:
        manager = named.NamedExtensionManager[object](
            NAMESPACE,
            list(names),
            name_order=True,
            on_load_failure_callback=_refuse_unimportable,
            on_missing_entrypoints_callback=_refuse_unknown,
            conflict_resolver=extension.error_on_conflict,
        )
    except exception.MultipleMatches as error:
        raise ConfigurationError(f"[agent] enabled_drivers: {error}") from error
    return tuple(_checked(loaded) for loaded in manager)


def register_options(conf: cfg.ConfigOpts, driver_class: type[Driver]) -> None:
    """Register what a driver declares in ``OPTIONS``. Again, it has no effect.

    :raises ConfigurationError: if an option has another meaning already, or is none.
    """
    try:
        for group, options in driver_class.OPTIONS:
            # By name: a registered OptGroup object holds its values, for every configuration.
            conf.register_opts(options, group=group.name)
    except Exception as error:  # whatever is wrong with the declaration
        raise _broken(driver_class.name, error) from error


def installed_drivers() -> tuple[str, ...]:
    """Return the names of all drivers that are installed, without importing one."""
    nothing = named.NamedExtensionManager[object](NAMESPACE, [])
    return tuple(sorted(set(nothing.entry_points_names())))


def _made(driver_class: type[Driver], environment: DriverEnvironment) -> Driver:
    try:
        return driver_class(environment)
    except Exception as error:  # a driver may raise anything
        raise _broken(driver_class.name, error) from error


def _checked(loaded: extension.Extension[object]) -> type[Driver]:
    found = loaded.plugin
    if not isinstance(found, type) or not issubclass(found, Driver) or found.name != loaded.name:
        raise ConfigurationError(
            f"[agent] enabled_drivers: {loaded.entry_point_target} is not a driver that calls "
            f"itself {loaded.name}"
        )
    if issubclass(found, JointDriver) and issubclass(found, StepwiseDriver):
        raise ConfigurationError(
            f"[agent] enabled_drivers: {loaded.name} is a JointDriver and a StepwiseDriver, which "
            "do not go together"
        )
    if found.contract_version > VERSION:
        raise ConfigurationError(
            f"[agent] enabled_drivers: {loaded.name} needs version {found.contract_version} of "
            f"the drivers' contract, and this agent has {VERSION}"
        )
    return found


def _refuse_unimportable(
    _manager: object, entry_point: EntryPoint, error: BaseException
) -> NoReturn:
    raise _broken(entry_point.name, error) from error


def _refuse_unknown(missing: Iterable[str]) -> NoReturn:
    known = ", ".join(installed_drivers()) or "none is installed"
    raise ConfigurationError(
        f"[agent] enabled_drivers: no driver named {', '.join(sorted(missing))}; known: {known}"
    )


def _broken(name: str, error: BaseException) -> ConfigurationError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return ConfigurationError(f"[agent] enabled_drivers: {name} cannot be loaded: {reason}")
