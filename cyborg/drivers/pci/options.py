"""Options of ``[pci]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("pci", title="The generic PCI driver")

OPTS: list[cfg.Opt] = [
    cfg.MultiStrOpt(
        "passthrough_whitelist",
        default=[],
        mutable=True,
        help="Which PCI functions of this host are offered: JSON objects as Nova reads them, "
        "one each time that the option is given, or a list of them. A function is allowed that "
        "fits to all of vendor_id, product_id, and address (a glob such as *:0a:00.*, or an "
        "object of regular expressions for domain, bus, slot and function) or devname. The "
        "address of a physical function allows its virtual functions, too. Further keys are "
        'resource_class (CUSTOM_PCI by default), traits (a list), no_reset ("allowed": a '
        "function that cannot be reset is offered, and handed on as it is) and keeps_data "
        '("allowed": drives and memory are offered, and what is written to them stays there for '
        "the next user).",
    ),
    cfg.ListOpt(
        "product_files",
        default=[],
        mutable=True,
        help="YAML files with names of vendors and products, in the form of the one that the "
        "driver brings, which they add to.",
    ),
    cfg.FloatOpt(
        "release_patience",
        default=20.0,
        min=0,
        max=3600,
        mutable=True,
        help="Seconds for which a release waits until nobody has the function open any more: "
        "the hypervisor may end a guest later than its server is deleted.",
    ),
    cfg.FloatOpt(
        "reset_timeout",
        default=20.0,
        min=1,
        max=3600,
        mutable=True,
        help="Seconds that a reset may take. One that takes longer has failed, and the function is "
        "given to nobody.",
    ),
]
