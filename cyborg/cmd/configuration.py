"""Reading the configuration of a command, and refusing a wrong one with one line."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log

from cyborg.conf import opts
from cyborg.domain.errors import ConfigurationError
from cyborg.drivers import options as driver_options
from cyborg.version import version

#: Exit status of a command that was given a wrong option, as argparse has it.
WRONG_OPTION = 2


def read(
    prog: str,
    arguments: Sequence[str],
    *,
    prepare: Callable[[cfg.ConfigOpts], None] | None = None,
    needs_database: bool = False,
    config_files: Sequence[str] | None = None,
    logs: bool = True,
) -> cfg.ConfigOpts:
    """Return the global configuration, read, checked, and with logging set up.

    oslo.messaging reads some of its options from the global object only, so that is the
    one that every command uses.

    :param prepare: registers further options before anything is read.
    :param logs: False: it is a command for a person, which says what it has to say by itself.
    :raises ConfigurationError: a value is wrong or missing, or a file cannot be read.
    :raises SystemExit: after ``--help`` or ``--version``, or for an unknown argument.
    """
    conf = cfg.CONF
    opts.register(conf)
    if prepare is not None:
        prepare(conf)
    try:
        with one_line():
            conf(
                list(arguments),
                project="cyborg",
                prog=prog,
                version=f"{prog} {version()}",
                default_config_files=None if config_files is None else list(config_files),
            )
    except cfg.Error as error:
        raise ConfigurationError(joined(error)) from error
    check(conf, needs_database)
    if logs:
        log.setup(conf, "cyborg")
    return conf


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Make one line of what argparse says of wrong arguments.

    :raises ConfigurationError: instead of the SystemExit that argparse raises for them.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            yield
    except SystemExit as end:
        if end.code:
            # argparse prints its whole usage first; the last line says what is wrong.
            lines = complaint.getvalue().strip().splitlines()
            raise ConfigurationError(lines[-1] if lines else "wrong arguments") from end
        raise


def joined(error: Exception) -> str:
    """Return an error's text in one line."""
    return " ".join(str(error).split())


def check(conf: cfg.ConfigOpts, needs_database: bool, drivers: Sequence[str] | None = None) -> None:
    """Look at every option once, so that a wrong one is known now and not at its first use.

    :param drivers: whose options are looked at, and registered if they are not; by default
        those of ``[agent] enabled_drivers``. What cannot be loaded is left to the agent.
    :raises ConfigurationError: with the option's name.
    """
    _look_at(conf, [*opts.list_opts(), (cfg.OptGroup("database"), db_options.database_opts)])
    # Which drivers there are is known only now.
    names = conf.agent.enabled_drivers if drivers is None else drivers
    _look_at(conf, driver_options.register(conf, names))
    if needs_database and not conf.database.connection:
        raise ConfigurationError("no database: set 'connection' in the section [database]")


def check_files(conf: cfg.ConfigOpts) -> None:
    """Look at the configuration files as they are now, without taking anything from them.

    oslo.config would take a wrong value, and complain where it is used.

    :raises ConfigurationError: a value is wrong, or a file cannot be read.
    """
    trial = cfg.ConfigOpts()
    opts.register(trial)
    try:
        trial(
            [],
            project="cyborg",
            default_config_files=conf.config_file,
            default_config_dirs=conf.config_dir,
        )
    except cfg.Error as error:
        raise ConfigurationError(joined(error)) from error
    # Not those of the new files: which drivers are enabled changes at a restart only.
    check(trial, needs_database=False, drivers=conf.agent.enabled_drivers)


def _look_at(
    conf: cfg.ConfigOpts, groups: Iterable[tuple[cfg.OptGroup | None, Iterable[cfg.Opt]]]
) -> None:
    for group, options in groups:
        for option in options:
            try:
                _ = conf[group.name][option.dest] if group else conf[option.dest]
            except (cfg.Error, ValueError) as error:
                raise ConfigurationError(joined(error)) from error


def main(prog: str, work: Callable[[Sequence[str]], int]) -> int:
    """Run a command: what is wrong with its configuration is one line on standard error."""
    try:
        return work(sys.argv[1:])
    except ConfigurationError as error:
        text = str(error)
        print(text if text.startswith(prog) else f"{prog}: {text}", file=sys.stderr)
        return WRONG_OPTION
