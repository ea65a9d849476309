"""Who the caller is: Keystone says so, or (``noauth``) everybody is the same administrator."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from keystoneauth1.plugin import BaseAuthPlugin
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_log import log

from cyborg.api.errors import Unauthenticated
from cyborg.api.loopback import why_not_local
from cyborg.domain.errors import ConfigurationError, Forbidden

LOG = log.getLogger(__name__)

GROUP = "keystone_authtoken"

#: Seconds that one question to Keystone takes at most, unless the option says otherwise.
KEYSTONE_TIMEOUT = 5

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

#: Where keystonemiddleware leaves what it knows of a caller, of whatever name in a paste file.
#: No header has such a name; and what a server takes from its own configuration is text.
_KEYSTONE_KEY = "keystone.token_auth"

#: Where, and what, is left where nobody is authenticated.
_NOAUTH_KEY = "cyborg.noauth"
_NOAUTH_MARK = object()

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
    """Middleware: every request is the same administrator's, whatever its headers claim.

    Requests of other hosts are refused: a WSGI server may listen anywhere.
    """

    def __init__(self, application: Any, remote: bool = False) -> None:
        """Make it.

        :param remote: other hosts may come, too.
        """
        self._application = application
        self._remote = remote

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        reason = None if self._remote else why_not_local(environ)
        if reason is not None:
            LOG.warning("unauthenticated request refused: %s", reason)
            raise Forbidden(
                f"Nobody is authenticated here, so only this machine is served; {reason}."
            )
        _discard_identity(environ)
        environ.update(_NOAUTH)
        environ[_NOAUTH_KEY] = _NOAUTH_MARK
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


class PublicPaths:
    """Middleware: version documents need no token; all else goes to the authenticator."""

    def __init__(
        self, application: Any, authenticator: Any, paths: Collection[str] = PUBLIC_PATHS
    ) -> None:
        self._application = application
        self._authenticator = authenticator
        self._paths = paths

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = self._authenticator
        if environ.get("PATH_INFO", "") in self._paths:
            _discard_identity(environ)
            target = self._application
        answer: Iterable[bytes] = target(environ, start_response)
        return answer


class OnlyAuthenticated:
    """Middleware, just before the handlers: takes nobody's word for who somebody is.

    Whatever the pipeline is, headers count only after something in this process has
    authenticated the request and replaced them. Version documents have no caller.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "") in PUBLIC_PATHS:
            _discard_identity(environ)
        elif not _is_authentic(environ):
            LOG.warning("unauthenticated request refused: is authtoken in the pipeline?")
            raise Unauthenticated("The request has not been authenticated.")
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


def register_options(conf: cfg.ConfigOpts) -> None:
    """Register ``[keystone_authtoken]``, with the service's role required by default."""
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
    conf.set_default("service_token_roles_required", True, group=GROUP)
    # A Keystone that says nothing would keep a request, and its thread, for ever.
    conf.set_default("http_connect_timeout", KEYSTONE_TIMEOUT, group=GROUP)
    conf.set_default("http_request_max_retries", 1, group=GROUP)


def authenticated(
    application: Any,
    conf: cfg.ConfigOpts,
    *,
    settings: Mapping[str, str] | None = None,
    public_paths: Collection[str] = PUBLIC_PATHS,
    unauthenticated_remote: bool = False,
) -> Any:
    """Return the application behind the authentication that ``auth_strategy`` names.

    :param settings: options of ``[keystone_authtoken]`` from a paste file.
    :param public_paths: what needs no token; a subset of :data:`PUBLIC_PATHS`.
    :param unauthenticated_remote: without authentication, serve other hosts too.
    :raises ConfigurationError: it is Keystone, and nothing says how to reach it.
    """
    if conf.auth_strategy == "noauth":
        LOG.warning("auth_strategy is noauth: nobody is authenticated, everybody administrates")
        return NoAuthentication(application, unauthenticated_remote)
    register_options(conf)
    settings = settings or {}
    known = [settings.get(name) or conf[GROUP][name] for name in ("auth_type", "auth_section")]
    if not any(known):
        raise ConfigurationError(
            "auth_strategy is keystone, but no auth_type: set auth_type, auth_url and the "
            f"service's credentials in the section [{GROUP}]"
        )
    keystone = auth_token.AuthProtocol(application, {**settings, "oslo_config_config": conf})
    return PublicPaths(application, keystone, public_paths)


def service_token_roles(conf: cfg.ConfigOpts) -> Collection[str]:
    """Return the roles one of which makes a token a service's."""
    if conf.auth_strategy == "noauth":
        return frozenset({"service"})
    register_options(conf)
    return frozenset(conf[GROUP].service_token_roles)


def _is_authentic(environ: Mapping[str, Any]) -> bool:
    by_keystone = isinstance(environ.get(_KEYSTONE_KEY), BaseAuthPlugin)
    # Keystonemiddleware may have been told to let the others through ("Invalid").
    confirmed = by_keystone and environ.get("HTTP_X_IDENTITY_STATUS") == "Confirmed"
    return confirmed or environ.get(_NOAUTH_KEY) is _NOAUTH_MARK


def _discard_identity(environ: dict[str, Any]) -> None:
    for name in [name for name in environ if name.startswith(_IDENTITY)]:
        del environ[name]
