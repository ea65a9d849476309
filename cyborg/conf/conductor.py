"""Options of ``[conductor]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("conductor", title="The conductor")
OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "job_poll_interval",
        default=2.0,
        min=0.1,
        max=60,
        mutable=True,
        help="Seconds between two looks for jobs whose lease has run out.",
    ),
    cfg.IntOpt(
        "job_lease",
        default=30,
        min=1,
        max=600,
        mutable=True,
        help="Seconds for which what a conductor has begun is left to it: an agent's job before "
        "the agent is asked again (twice as long after each time that it has not answered, up to "
        "five minutes), an event or a provider before another conductor sees to it.",
    ),
    cfg.IntOpt(
        "prepare_attempts",
        default=2,
        min=1,
        max=100,
        mutable=True,
        help="How often preparing a device may fail before the bind does.",
    ),
    cfg.IntOpt(
        "release_attempts",
        default=3,
        min=1,
        max=100,
        mutable=True,
        help="How often releasing a device may fail before its handle is quarantined. It is tried "
        "again after 10 and then every 60 seconds: 3 bear more than a minute of trouble, 5 more "
        "than three. What an agent cannot even begin is no failure.",
    ),
    cfg.IntOpt(
        "program_attempts",
        default=2,
        min=1,
        max=100,
        mutable=True,
        help="How often programming a deployable may fail before it has failed for good.",
    ),
    cfg.IntOpt(
        "program_timeout",
        default=900,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds that programming a deployable may take, the download and all attempts "
        "together, before it has failed.",
    ),
    cfg.IntOpt(
        "provider_comparison_interval",
        default=300,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds between two comparisons of the providers in Placement with what they "
        "should be. Whatever has drifted is restored.",
    ),
    cfg.IntOpt(
        "leftover_comparison_interval",
        default=300,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds between two looks for accelerator requests that a service has bound and "
        "nobody needs any more: their instances have no allocation on their providers.",
    ),
    cfg.IntOpt(
        "leftover_grace_period",
        default=600,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds that must lie between the first look which finds an accelerator request "
        "left over and the one that releases it.",
    ),
    cfg.IntOpt(
        "silent_host_intervals",
        default=10,
        min=3,
        max=10_000,
        mutable=True,
        help="Number of intervals, each the [DEFAULT] periodic_interval of a host's agent, after "
        "which nothing of the host is offered if its agent has not been heard.",
    ),
    cfg.IntOpt(
        "request_expiry",
        default=86400,
        min=60,
        mutable=True,
        help="Seconds after which an accelerator request that was never bound is deleted.",
    ),
    cfg.IntOpt(
        "instance_owner_retention",
        default=90 * 86400,
        min=3600,
        mutable=True,
        help="Seconds for which the owner of an instance is remembered that has no accelerator "
        "requests. Afterwards Nova is asked.",
    ),
    cfg.IntOpt(
        "bind_failure_patience",
        default=300,
        min=1,
        max=86400,
        mutable=True,
        help="Seconds for which Nova is told again and again that a bind has failed, before the "
        "accelerator request reads BindFailed: at least Nova's [DEFAULT] arq_binding_timeout.",
    ),
]
