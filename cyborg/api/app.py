"""The WSGI application: the pipeline that every request goes through."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi, request_id, sizelimit
from pecan.core import ExplicitPecan

from cyborg.api import pecan_cache
from cyborg.api.authentication import authenticated, service_token_roles
from cyborg.api.authorization import Authorizer
from cyborg.api.calls import Request, Services
from cyborg.api.context import ContextScope
from cyborg.api.errors import Faults
from cyborg.api.root import RootController
from cyborg.api.v2.accelerator_requests import AcceleratorRequestsController
from cyborg.api.v2.attributes import AttributesController
from cyborg.api.v2.deployables import DeployablesController
from cyborg.api.v2.device_profiles import DeviceProfilesController
from cyborg.api.v2.devices import DevicesController
from cyborg.db.database import ReadDatabase
from cyborg.rpc.conductor import ConductorClient


def build_application(
    conf: cfg.ConfigOpts, database: ReadDatabase, conductor: ConductorClient
) -> Any:
    """Return the API as a WSGI callable. Neither database nor conductor need be there yet."""
    conf.register_opts(cors.OPTS, "cors")
    services = Services(conf, database, conductor, Authorizer(conf), service_token_roles(conf))
    application = _controllers(services)
    # From the innermost to the outermost. Faults are answered outside of authentication,
    # so that what fails there, or is too large, has the same form as everything else.
    application = authenticated(application, conf)
    application = sizelimit.RequestBodySizeLimiter(application, conf)
    application = Faults(application)
    application = ContextScope(application)
    application = request_id.RequestId(application, conf)
    application = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    if conf.cors.allowed_origin:
        application = cors.CORS(application, conf)
    return application


def _controllers(services: Services) -> Any:
    pecan_cache.install()
    resources = {
        "devices": DevicesController(services),
        "deployables": DeployablesController(services),
        "attributes": AttributesController(services),
        "device_profiles": DeviceProfilesController(services),
        "accelerator_requests": AcceleratorRequestsController(services),
    }
    return ExplicitPecan(
        RootController(services, resources),
        guess_content_type_from_ext=False,
        force_canonical=False,
        request_cls=Request,
    )
