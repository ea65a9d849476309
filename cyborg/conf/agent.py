"""Options of ``[agent]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("agent", title="The agent")
OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "enabled_drivers",
        default=["fake_driver"],
        help="Entry point names (cyborg.accelerator.driver) of the drivers that look for "
        "devices. The default offers devices that do not exist.",
    ),
    cfg.StrOpt(
        "resource_provider_name",
        help="Name of this host's compute node in Placement, which is also the host name "
        "that Nova sends and the agent's name in the message queue. By default the fully "
        "qualified domain name, then [DEFAULT] host. Each machine has its own: do not set it in a "
        "file that machines share.",
    ),
    cfg.IntOpt(
        "discovery_timeout",
        default=60,
        min=1,
        max=3600,
        mutable=True,
        help="Seconds after which a driver's scan counts as failed.",
    ),
    cfg.IntOpt(
        "call_timeout",
        default=50,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds that a driver may take to prepare or release a device, or to check a "
        "bitstream: more than the slowest device of this host needs, and less than "
        "[DEFAULT] bind_timeout, or a bind ends without the reason. A call that takes longer "
        "hangs. Its work has failed, and the device is given to nobody and nothing is begun on it "
        "until the call returns; what was to be released is released again then.",
    ),
    cfg.IntOpt(
        "program_timeout",
        default=600,
        min=1,
        max=86400,
        mutable=True,
        help="The same of programming a device: with bitstream_download_timeout not more than "
        "[conductor] program_timeout.",
    ),
    cfg.IntOpt(
        "rpc_timeout",
        default=30,
        min=1,
        max=600,
        mutable=True,
        help="Seconds to wait for a conductor's answer before a report is made again.",
    ),
    cfg.StrOpt(
        "bitstream_directory",
        help="Directory of bitstreams, for a host without Glance: each is a file whose name is "
        "the uuid that requests give as the image's. Every project may use all of them. Not "
        "looked at where [glance] has an auth_type.",
    ),
    cfg.IntOpt(
        "bitstream_max_size",
        default=1024,
        min=1,
        mutable=True,
        help="MiB of the largest bitstream that is accepted.",
    ),
    cfg.IntOpt(
        "bitstream_download_timeout",
        default=300,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds that one download of a bitstream may take.",
    ),
    cfg.IntOpt(
        "bitstream_cache_size",
        default=4096,
        min=0,
        mutable=True,
        help="MiB of downloaded bitstreams that are kept on this host, below [DEFAULT] "
        "state_path; those that were used last stay.",
    ),
    cfg.IntOpt(
        "bitstream_cache_age",
        default=7 * 86400,
        min=0,
        mutable=True,
        help="Seconds after its last use for which a downloaded bitstream is kept.",
    ),
]
