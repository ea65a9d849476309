"""Options of ``[glance]``: how the agent reaches Glance."""

from __future__ import annotations

from oslo_config import cfg

from cyborg.conf import keystoneauth

SERVICE_TYPE = "image"
GROUP = cfg.OptGroup(
    "glance",
    title="Glance",
    help="How the agent reaches Glance, where bitstreams are. Without auth_type it takes them "
    "from [agent] bitstream_directory.",
)
_OWN: list[cfg.Opt] = [
    cfg.IntOpt(
        "num_retries",
        default=1,
        min=0,
        max=100,
        mutable=True,
        help="How often a download that broke off, or came out wrong, is begun again.",
    ),
]
OPTS: list[cfg.Opt] = [*keystoneauth.options(SERVICE_TYPE), *_OWN]
SAMPLE_OPTS: list[cfg.Opt] = [*keystoneauth.sample_options(SERVICE_TYPE), *_OWN]
