"""Options of ``[api]``."""

from __future__ import annotations

from oslo_config import cfg

#: Where the option says nothing else.
PASTE_FILE = "api-paste.ini"

GROUP = cfg.OptGroup("api", title="The HTTP API")
OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        "host_ip",
        default="127.0.0.1",
        help="Address on which the command cyborg-api listens.",
    ),
    cfg.PortOpt("port", default=6666, help="Port on which the command cyborg-api listens."),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        max=1024,
        help="Requests that the command cyborg-api serves at the same time.",
    ),
    cfg.URIOpt(
        "public_endpoint",
        schemes=["http", "https"],
        help="URL before /v2 in links, where it is not the one that the request came to.",
    ),
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        max=100000,
        mutable=True,
        help="Most objects in one answer, from microversion 2.4 on: what is more is in further "
        "pages. Older clients know of no pages and get everything unless they set a limit.",
    ),
    cfg.IntOpt(
        "rpc_timeout",
        default=30,
        min=1,
        max=600,
        mutable=True,
        help="Seconds to wait for a conductor's answer before a request is answered 503.",
    ),
    cfg.StrOpt(
        "api_paste_config",
        default=PASTE_FILE,
        help="Paste file whose application 'main' is the pipeline that requests go through. A "
        "name without a path is looked for beside the configuration files, then in ~/.cyborg, "
        "~, /etc/cyborg and /etc. Where there is no such file, or the option is empty, the "
        "pipeline is the built-in one. cyborg-standalone looks for none by default.",
    ),
    cfg.IntOpt(
        "program_wait",
        default=50,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds for which the answer to a request that programs a deployable waits for "
        "its end; afterwards, and with 0 at once, it is answered as it is then. Less than what "
        "proxies before the API allow.",
    ),
    cfg.BoolOpt(
        "enable_ssl_api",
        default=False,
        help="Whether the command cyborg-api speaks HTTPS, with the certificate that [ssl] "
        "cert_file and key_file name.",
    ),
    cfg.IntOpt(
        "api_workers",
        min=1,
        help="Not used: the command cyborg-api is one process with [api] threads. For more "
        "processes start it more often, or serve cyborg.wsgi.api:application with a WSGI server.",
    ),
]
