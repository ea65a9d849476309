"""The filter ``authtoken`` of paste files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oslo_log import log

from cyborg.api import pipeline
from cyborg.api.authentication import PUBLIC_PATHS, authenticated
from cyborg.api.envelope import enveloped

LOG = log.getLogger(__name__)

#: What the pipeline in code has.
_DEFAULT_ROUTES = "/, /v2"

#: Keys of paste that would make keystonemiddleware read files of its own.
_OTHER_FILES = ("oslo_config_project", "oslo_config_file", "oslo_config_program")


class AuthTokenMiddleware:
    """Named by paste files; what it makes is the authentication that ``auth_strategy`` names."""

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Any]:
        """Return the filter.

        :param local_conf: ``acl_public_routes``, the paths that need no token: of them the
            version documents, and no others. Options of ``[keystone_authtoken]``, before
            those of the configuration.
        :raises ConfigurationError: Keystone is to be asked, and nothing says how to reach it.
        """
        parts = pipeline.parts()
        settings = {key: value for key, value in local_conf.items() if key not in _OTHER_FILES}
        routes = _public_paths(settings.pop("acl_public_routes", _DEFAULT_ROUTES))

        def make(application: Any) -> Any:
            return enveloped(
                authenticated(
                    application,
                    parts.conf,
                    settings=settings,
                    public_paths=routes,
                    unauthenticated_remote=parts.unauthenticated_remote,
                ),
                parts.conf,
            )

        return make


def _public_paths(routes: str) -> frozenset[str]:
    """Return the public paths that belong to a comma list of routes."""
    named = {route.strip().rstrip("/") for route in routes.split(",") if route.strip()}
    others = sorted(named - {_route(path) for path in PUBLIC_PATHS})
    if others:
        LOG.warning("acl_public_routes: these are not public, and stay so: %s", ", ".join(others))
    return frozenset(path for path in PUBLIC_PATHS if _route(path) in named)


def _route(path: str) -> str:
    """Return the route of a public path: ``/v2`` or, without its slash, ``/``."""
    return "/v2" if path.startswith("/v2") else ""
