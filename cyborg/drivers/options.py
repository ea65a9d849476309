"""Options of drivers, which only the drivers themselves can list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from oslo_config import cfg
from oslo_log import log

from cyborg.conf import opts
from cyborg.drivers.contract import OptionGroup
from cyborg.drivers.loader import find_drivers, installed_drivers, register_options

LOG = log.getLogger(__name__)


def register(conf: cfg.ConfigOpts, names: Iterable[str]) -> list[OptionGroup]:
    """Register the options of the drivers of these names, and return them.

    A driver that cannot be loaded has none: it is the agent that refuses to do without.
    """
    return _registered(conf, names, lambda _name, _reason: None)


def list_sample_opts() -> list[tuple[cfg.OptGroup | None, Sequence[cfg.Opt]]]:
    """Return all options of the service and of every driver that is installed.

    For oslo.config's generators. A driver that cannot be loaded is left out, with a warning.
    """
    return [
        *opts.list_sample_opts(),
        *_registered(cfg.ConfigOpts(), installed_drivers(), _warn_of_broken),
    ]


def _registered(
    conf: cfg.ConfigOpts, names: Iterable[str], left_out: Callable[[str, BaseException], None]
) -> list[OptionGroup]:
    groups: list[OptionGroup] = []
    for name in names:
        try:
            (driver_class,) = find_drivers([name])
            register_options(conf, driver_class)
        except (Exception, SystemExit) as error:  # an import may raise anything
            left_out(name, error)
        else:
            groups.extend(driver_class.OPTIONS)
    return groups


def _warn_of_broken(name: str, error: BaseException) -> None:
    LOG.warning("options of a driver left out driver=%s reason=%s", name, error)
