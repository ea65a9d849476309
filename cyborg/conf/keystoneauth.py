"""Options of the groups in which another service is reached: keystoneauth's, with our defaults."""

from __future__ import annotations

import copy

from keystoneauth1 import loading
from oslo_config import cfg

#: Seconds for one request to another service, unless the operator says otherwise.
TIMEOUT = 30


def options(service_type: str) -> list[cfg.Opt]:
    """Return the options of a group: how to authenticate, the session, and where the service is.

    What an authentication plugin needs beside these is registered when it is loaded.
    """
    common = [
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        *loading.get_adapter_conf_options(include_deprecated=False),
    ]
    ours = copy.deepcopy(common)
    cfg.set_defaults(
        ours,
        timeout=TIMEOUT,
        service_type=service_type,
        valid_interfaces=["internal", "public"],
    )
    return ours


def sample_options(service_type: str) -> list[cfg.Opt]:
    """Return the same for the sample file, with what the usual plugin (password) needs."""
    plugin = loading.get_auth_plugin_conf_options("v3password")
    known = options(service_type)
    names = {option.name for option in known}
    return [*known, *(option for option in plugin if option.name not in names)]
