"""All options of the service but its drivers': registration, the sample, defaults of libraries."""

from __future__ import annotations

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log
from oslo_middleware import cors, sizelimit
from oslo_policy import opts as policy_opts

from cyborg.conf import (
    agent,
    api,
    conductor,
    default,
    glance,
    keystoneauth,
    nova,
    placement,
    privileged,
    ssl,
)

_MODULES = (default, api, ssl, conductor, placement, nova, glance, agent)


#: Bytes of a request's body; the largest sensible one, 64 binds, has a quarter of that.
MAX_BODY = 64 * 1024


def list_opts() -> list[tuple[cfg.OptGroup | None, list[cfg.Opt]]]:
    """Return every group with its options."""
    return [(module.GROUP, module.OPTS) for module in _MODULES]


def list_sample_opts() -> list[tuple[cfg.OptGroup | None, list[cfg.Opt]]]:
    """Return the same for oslo.config's sample generator: with the password plugin's options."""
    services: dict[cfg.OptGroup | None, list[cfg.Opt]] = {
        placement.GROUP: keystoneauth.sample_options(placement.SERVICE_TYPE),
        nova.GROUP: keystoneauth.sample_options(nova.SERVICE_TYPE),
        glance.GROUP: glance.SAMPLE_OPTS,
    }
    listed = [(group, services.get(group, options)) for group, options in list_opts()]
    return [*listed, (privileged.GROUP, privileged.SAMPLE_OPTS)]


def set_defaults() -> None:
    """Set what this service wants otherwise than the libraries do."""
    policy_opts.set_defaults(cfg.CONF, "policy.yaml", enforce_new_defaults=True)
    cfg.set_defaults(sizelimit.OPTS, max_request_body_size=MAX_BODY)
    cors.set_defaults(
        allow_headers=[
            "X-Auth-Token",
            "X-Service-Token",
            "OpenStack-API-Version",
            "X-OpenStack-Request-ID",
        ],
        expose_headers=[
            "OpenStack-API-Version",
            "OpenStack-API-Minimum-Version",
            "OpenStack-API-Maximum-Version",
            "X-OpenStack-Request-ID",
        ],
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
    )


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option of ours and of the libraries that are always used."""
    for group, options in list_opts():
        # By name: a registered OptGroup object holds its values, for every configuration.
        conf.register_opts(options, group=None if group is None else group.name)
    conf.register_opts(db_options.database_opts, "database")
    log.register_options(conf)
    quiet = [*log.get_default_log_levels(), "alembic=WARN", "amqp=ERROR"]
    log.set_defaults(default_log_levels=quiet)
    set_defaults()
