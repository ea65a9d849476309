"""What a driver is given in a test: options, and a host that is a directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oslo_config import cfg

from cyborg.conf import opts
from cyborg.drivers.contract import Driver, DriverEnvironment
from cyborg.drivers.host import Host
from cyborg.drivers.loader import register_options
from cyborg.drivers.pci import options as pci

#: With which the names of deployables begin.
HOST_NAME = "compute-1.example.org"


def make_conf(*driver_classes: type[Driver], **sections: Mapping[str, object]) -> cfg.ConfigOpts:
    """Return private options: the service's and these drivers', with values by section."""
    conf = cfg.ConfigOpts()
    for group, options in opts.list_opts():
        # By name: a group object would share its values with all other ConfigOpts.
        conf.register_opts(options, group=None if group is None else group.name)
    # What the verbs may touch is in it, whichever the driver is.
    conf.register_opts(pci.OPTS, group=pci.GROUP.name)
    for driver_class in driver_classes:
        register_options(conf, driver_class)
    conf([], project="cyborg", default_config_files=[], default_config_dirs=[])
    for section, values in sections.items():
        for name, value in values.items():
            conf.set_override(name, value, group=None if section == "DEFAULT" else section)
    return conf


def make_environment(conf: cfg.ConfigOpts, directory: Path) -> DriverEnvironment:
    """Return an environment on a host that is a directory, whose sleep returns at once."""
    return DriverEnvironment(conf, HOST_NAME, Host(directory), lambda _seconds: None)
