"""A cloud's Keystone, as every OpenStack client finds it.

openstacksdk takes a second to import: whoever may do without imports this late.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from keystoneauth1 import exceptions as keystone
from openstack import exceptions
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from openstack.identity.v3._proxy import Proxy

from cyborg.cmd.configuration import joined
from cyborg.domain.errors import ConfigurationError
from cyborg.version import version

#: What asking Keystone can raise.
ERRORS = (exceptions.SDKException, keystone.ClientException)


class Cloud:
    """Which Keystone, and as whom: openstacksdk's own options."""

    def __init__(self, program: str, arguments: Sequence[str]) -> None:
        """Find out which options there are, which depends on the kind of authentication.

        :param program: who asks.
        :raises ConfigurationError: a cloud or a kind of authentication that does not exist.
        """
        self.parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        try:
            self._config = OpenStackConfig(app_name=program, app_version=version())
            self._config.register_argparse_arguments(self.parser, list(arguments))
        except (exceptions.ConfigException, AttributeError, TypeError, ValueError) as error:
            # The others: clouds.yaml has something of the wrong kind.
            raise ConfigurationError(f"no cloud to connect to: {joined(error)}") from error
        # Its default would hide what clouds.yaml says.
        self.parser.set_defaults(os_interface=os.environ.get("OS_INTERFACE"))
        self._names = set(vars(self.parser.parse_known_args([])[0]))

    def connect(self, options: argparse.Namespace) -> Connection:
        """Return the connection, which asks nobody yet.

        :raises ConfigurationError: no cloud, or not all of its credentials.
        """
        ours = {name: value for name, value in vars(options).items() if name in self._names}
        try:
            region = self._config.get_one(argparse=argparse.Namespace(**ours))
            return Connection(config=region)
        except (exceptions.ConfigException, keystone.ClientException) as error:
            raise ConfigurationError(f"no cloud to connect to: {joined(error)}") from error


def identity_of(connection: Connection) -> Proxy:
    """Return Keystone's API.

    :raises ConfigurationError: it is not version 3.
    """
    identity = connection.identity
    if not isinstance(identity, Proxy):
        raise ConfigurationError("Keystone's API v3 is needed")
    return identity
