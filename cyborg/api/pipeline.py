"""The pipeline of a paste file, where ``[api] api_paste_config`` names one that exists."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from keystonemiddleware.exceptions import KeystoneMiddlewareException
from oslo_config import cfg
from oslo_log import log
from paste.deploy import loadapp

from cyborg.conf.api import PASTE_FILE
from cyborg.domain.errors import ConfigurationError

LOG = log.getLogger(__name__)

#: What reading such a file, and the factories that it names, fail with.
_FAILURES = (
    AssertionError,
    AttributeError,
    ImportError,
    KeystoneMiddlewareException,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    cfg.Error,
    configparser.Error,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the factories need, which paste itself cannot give them."""

    conf: cfg.ConfigOpts
    #: The handlers, behind the check that somebody has been authenticated.
    application: Any
    #: Without authentication, serve other hosts too.
    unauthenticated_remote: bool = False


_parts: ContextVar[Parts] = ContextVar("parts")


def parts() -> Parts:
    """Return what the pipeline that is being loaded is made of.

    :raises ConfigurationError: somebody else loads the file.
    """
    try:
        return _parts.get()
    except LookupError:
        raise ConfigurationError(
            "the factories of the paste file serve cyborg-api and cyborg.wsgi.api:application only"
        ) from None


def find(conf: cfg.ConfigOpts) -> str | None:
    """Return the path of the paste file, looked for as oslo.config looks for files."""
    name = conf.api.api_paste_config
    if not name:
        return None
    path: str | None = conf.find_file(name)
    if path is None:
        level = log.INFO if name == PASTE_FILE else log.WARNING
        LOG.log(level, "no paste file api_paste_config=%s: the built-in pipeline is used", name)
    return path


def load(path: str, made_of: Parts) -> Any:
    """Return the application ``main`` of a paste file.

    :raises ConfigurationError: there is none to be had.
    """
    try:
        with _loading(made_of):
            # Else a # in it begins a name of an application.
            application = loadapp(f"config:{quote(path)}")
    except _FAILURES as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigurationError(f"paste file {path} cannot be used: {reason}") from error
    LOG.info("pipeline of a paste file path=%s", path)
    return application


@contextmanager
def _loading(made_of: Parts) -> Iterator[None]:
    token = _parts.set(made_of)
    try:
        yield
    finally:
        _parts.reset(token)
