"""The WSGI application: the pipeline that requests go through, in code or by a paste file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi, sizelimit
from pecan.core import ExplicitPecan

from cyborg.api import pecan_cache, pipeline
from cyborg.api.authentication import OnlyAuthenticated, authenticated, service_token_roles
from cyborg.api.authorization import Authorizer
from cyborg.api.calls import Request, Services
from cyborg.api.envelope import enveloped
from cyborg.api.pipeline import Parts
from cyborg.api.resource import Resource
from cyborg.api.root import RootController
from cyborg.api.v2.accelerator_requests import AcceleratorRequestsController
from cyborg.api.v2.attributes import AttributesController
from cyborg.api.v2.deployables import DeployablesController
from cyborg.api.v2.device_profiles import DeviceProfilesController
from cyborg.api.v2.devices import DevicesController
from cyborg.db.clock import DatabaseClock
from cyborg.db.database import ReadDatabase
from cyborg.rpc.conductor import ConductorClient

#: All that the API has beside its documents: name in paths to controller.
RESOURCES: Mapping[str, type[Resource]] = {
    "devices": DevicesController,
    "deployables": DeployablesController,
    "attributes": AttributesController,
    "device_profiles": DeviceProfilesController,
    "accelerator_requests": AcceleratorRequestsController,
}


def conductor_client(
    conf: cfg.ConfigOpts, transport: Any, database: ReadDatabase
) -> ConductorClient:
    """Return the conductor, which is not reached yet.

    What it is asked for expires by the clock of the database, which both read.
    """
    return ConductorClient(
        transport, lambda: float(conf.api.rpc_timeout), deadlines=DatabaseClock(database)
    )


def build_application(
    conf: cfg.ConfigOpts,
    database: ReadDatabase,
    conductor: ConductorClient,
    *,
    unauthenticated_remote: bool = False,
) -> Any:
    """Return the API as a WSGI callable. Neither database nor conductor need be there yet.

    :param unauthenticated_remote: without authentication, serve other hosts too.
    :raises ConfigurationError: policy, Keystone or the paste file are not as they must be.
    """
    services = Services(conf, database, conductor, Authorizer(conf), service_token_roles(conf))
    parts = Parts(conf, OnlyAuthenticated(_controllers(services)), unauthenticated_remote)
    path = pipeline.find(conf)
    return _in_code(parts) if path is None else pipeline.load(path, parts)


def app_factory(global_conf: dict[str, str], **local_conf: str) -> Any:
    """Return the application of a paste file, by the name that deployments know.

    Whatever filters the file has or lacks, errors have their form and requests their ids and
    their limit, and nobody is believed to be who their headers say.
    """
    parts = pipeline.parts()
    limited = sizelimit.RequestBodySizeLimiter(parts.application, parts.conf)
    return enveloped(limited, parts.conf)


def _in_code(parts: Parts) -> Any:
    conf = parts.conf
    conf.register_opts(cors.OPTS, "cors")
    # From the innermost to the outermost. Faults are answered outside of authentication,
    # so that what fails there, or is too large, has the same form as everything else.
    application = authenticated(
        parts.application, conf, unauthenticated_remote=parts.unauthenticated_remote
    )
    application = sizelimit.RequestBodySizeLimiter(application, conf)
    application = enveloped(application, conf)
    application = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    if conf.cors.allowed_origin:
        application = cors.CORS(application, conf)
    return application


def _controllers(services: Services) -> Any:
    pecan_cache.install()
    resources = {name: controller(services) for name, controller in RESOURCES.items()}
    return ExplicitPecan(
        RootController(services, resources),
        guess_content_type_from_ext=False,
        force_canonical=False,
        request_cls=Request,
    )
