"""Trying credentials at the start, so that the log says what is wrong with them before they count.

A wrong password of Placement's would else be noticed at the first provider, one of Nova's at the
first bind, and one of Glance's at the first programming.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keystoneauth1 import exceptions, loading
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from oslo_config import cfg
from oslo_log import log

from cyborg import threads
from cyborg.clients.http import load_adapter

LOG = log.getLogger(__name__)

#: Seconds until what could not be reached is tried again.
RETRY_INTERVAL = 30.0

#: Seconds for one request.
TIMEOUT = 10.0

#: What each service answers to whoever may ask it at all, and costs it next to nothing.
QUESTIONS = {
    "placement": "/resource_providers?name=none",
    "nova": "/servers?limit=1",
    "glance": "/v2/images?limit=1",
}

_WRONG = (401, 403)

#: What Keystone, or its catalogue, says that will not be otherwise by itself.
_SAYS_NO = (
    exceptions.Unauthorized,
    exceptions.Forbidden,
    exceptions.EndpointNotFound,
    exceptions.EmptyCatalog,
    exceptions.MissingAuthPlugin,
    exceptions.AuthPluginException,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """The credentials of one section."""

    section: str
    #: Returns the URL that was asked, and the status of its answer.
    ask: Callable[[], tuple[str, int]]

    def settle(self) -> bool:
        """Try once and say in the log what came out; return whether it need not be tried again."""
        try:
            url, status = self.ask()
        except _SAYS_NO as error:
            return self._wrong(_reason(error))
        except exceptions.ClientException as error:
            return self._away(_reason(error))
        if status in _WRONG:
            return self._wrong(f"{url} answers {status}: the user has not the rights")
        if status >= 500:
            return self._away(f"{url} answers {status}")
        LOG.info("credentials are right section=[%s] url=%s", self.section, url)
        return True

    def _wrong(self, reason: str) -> bool:
        LOG.error("credentials are wrong section=[%s]: %s", self.section, reason)
        return True

    def _away(self, reason: str) -> bool:
        LOG.warning("credentials not tried yet section=[%s]: %s", self.section, reason)
        return False


def trial_of(conf: cfg.ConfigOpts, group: str) -> list[Trial]:
    """Return the trial of a service's section, none if the section is not set.

    :raises ConfigurationError: it is set, but not as it must be.
    """
    adapter = load_adapter(conf, group)
    if adapter is None:
        return []
    return [Trial(group, lambda: _ask(adapter, QUESTIONS[group]))]


def trial_of_keystone(conf: cfg.ConfigOpts, group: str = "keystone_authtoken") -> list[Trial]:
    """Return the trial of the user as whom tokens are checked: that Keystone gives it one."""
    if conf.auth_strategy == "noauth" or not (conf[group].auth_type or conf[group].auth_section):
        return []
    return [Trial(group, lambda: _log_in(conf, group))]


def try_in_background(trials: Sequence[Trial], wait: Callable[[float], bool]) -> None:
    """Try credentials until it is known of all of them, in a thread of its own.

    :param wait: waits so many seconds; returns whether there is nothing to do any more.
    """
    if trials:
        threads.serve("credentials", _try, list(trials), wait, done=lambda: True)


def _try(trials: Sequence[Trial], wait: Callable[[float], bool]) -> None:
    left = list(trials)
    while True:
        left = [trial for trial in left if not _settled(trial)]
        if not left or wait(RETRY_INTERVAL):
            return


def _settled(trial: Trial) -> bool:
    try:
        return trial.settle()
    except Exception:  # a thread's outermost loop: no trial is worth the process
        LOG.exception("credentials cannot be tried section=[%s]", trial.section)
        return True


def _ask(adapter: Adapter, path: str) -> tuple[str, int]:
    url = str(adapter.get_endpoint(skip_discovery=True) or "")
    if not url:
        raise exceptions.EndpointNotFound(
            f"no endpoint of {adapter.service_type} in the catalogue of Keystone"
        )
    base = url.rstrip("/")
    if base.endswith("/v2") and path.startswith("/v2/"):
        base = base.removesuffix("/v2")
    response = adapter.request(
        base + path, "GET", raise_exc=False, timeout=TIMEOUT, connect_retries=0
    )
    return base + path, int(response.status_code)


def _log_in(conf: cfg.ConfigOpts, group: str) -> tuple[str, int]:
    options = conf[group]
    auth = loading.load_auth_from_conf_options(conf, group)
    verify = False if options.insecure else options.cafile or True
    cert = (options.certfile, options.keyfile) if options.keyfile else options.certfile
    session = Session(auth=auth, verify=verify, cert=cert, timeout=TIMEOUT)
    session.get_token()
    return str(getattr(auth, "auth_url", "Keystone")), 200


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
