"""Who the caller is: Keystone says so, or (``noauth``) everybody is the same administrator."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_log import log

from cyborg.domain.errors import ConfigurationError

LOG = log.getLogger(__name__)

GROUP = "keystone_authtoken"

#: The version documents, which clients read before they have a token, and the description.
PUBLIC_PATHS = frozenset(
    {"", "/", "/.json", "/v2", "/v2/", "/v2.json", "/openapi.json", "/v2/openapi.json"}
)

#: User, project and id of everything else where nobody is authenticated.
NOBODY = "00000000-0000-0000-0000-000000000000"

_NOAUTH = {
    "HTTP_X_IDENTITY_STATUS": "Confirmed",
    "HTTP_X_USER_ID": NOBODY,
    "HTTP_X_PROJECT_ID": NOBODY,
    "HTTP_X_ROLES": "admin,accelerator_admin,service",
    "HTTP_X_SERVICE_IDENTITY_STATUS": "Confirmed",
    "HTTP_X_SERVICE_USER_ID": NOBODY,
    "HTTP_X_SERVICE_PROJECT_ID": NOBODY,
    "HTTP_X_SERVICE_ROLES": "service",
}

#: Beginnings of all headers that say who somebody is; from outside they are forged.
_IDENTITY = (
    "HTTP_X_AUTH_TOKEN",
    "HTTP_X_DOMAIN",
    "HTTP_X_IDENTITY_STATUS",
    "HTTP_X_IS_ADMIN_PROJECT",
    "HTTP_X_PROJECT",
    "HTTP_X_ROLE",
    "HTTP_X_SERVICE",
    "HTTP_X_STORAGE_TOKEN",
    "HTTP_X_TENANT",
    "HTTP_X_USER",
    "HTTP_OPENSTACK_SYSTEM_SCOPE",
)


class NoAuthentication:
    """Middleware: every request is the same administrator's, whatever its headers claim."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _discard_identity(environ)
        environ.update(_NOAUTH)
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


class PublicPaths:
    """Middleware: version documents need no token; all else goes to the authenticator."""

    def __init__(self, application: Any, authenticator: Any) -> None:
        self._application = application
        self._authenticator = authenticator

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = self._authenticator
        if environ.get("PATH_INFO", "") in PUBLIC_PATHS:
            _discard_identity(environ)
            target = self._application
        answer: Iterable[bytes] = target(environ, start_response)
        return answer


def register_options(conf: cfg.ConfigOpts) -> None:
    """Register ``[keystone_authtoken]``, with the service's role required by default."""
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
    conf.set_default("service_token_roles_required", True, group=GROUP)


def authenticated(application: Any, conf: cfg.ConfigOpts) -> Any:
    """Return the application behind the authentication that ``auth_strategy`` names.

    :raises ConfigurationError: it is Keystone, and nothing says how to reach it.
    """
    if conf.auth_strategy == "noauth":
        LOG.warning("auth_strategy is noauth: nobody is authenticated, everybody administrates")
        return NoAuthentication(application)
    register_options(conf)
    if not (conf[GROUP].auth_type or conf[GROUP].auth_section):
        raise ConfigurationError(
            "auth_strategy is keystone, but no auth_type: set auth_type, auth_url and the "
            f"service's credentials in the section [{GROUP}]"
        )
    keystone = auth_token.AuthProtocol(application, {"oslo_config_config": conf})
    return PublicPaths(application, keystone)


def service_token_roles(conf: cfg.ConfigOpts) -> Collection[str]:
    """Return the roles one of which makes a token a service's."""
    if conf.auth_strategy == "noauth":
        return frozenset({"service"})
    register_options(conf)
    return frozenset(conf[GROUP].service_token_roles)


def _discard_identity(environ: dict[str, Any]) -> None:
    for name in [name for name in environ if name.startswith(_IDENTITY)]:
        del environ[name]
