"""Options of ``[ssl]``, by the names that every OpenStack service has."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("ssl", title="TLS of the command cyborg-api")
OPTS: list[cfg.Opt] = [
    cfg.StrOpt("cert_file", help="Certificate of the server, with what is between it and the CA."),
    cfg.StrOpt("key_file", help="Private key of the server."),
]
