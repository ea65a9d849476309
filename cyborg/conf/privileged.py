"""Options of ``[cyborg_sys_admin]``: of oslo.privsep, for the process that has privileges."""

from __future__ import annotations

import copy

from oslo_config import cfg
from oslo_privsep import capabilities, priv_context

#: By which deployments know it; sudoers and helper commands name the context itself.
GROUP = cfg.OptGroup("cyborg_sys_admin", title="The agent's privileged process")

#: What the verbs need: to write to attributes and to open devices that are root's, and to see
#: which process has one open.
CAPABILITIES = (
    capabilities.CAP_DAC_OVERRIDE,
    capabilities.CAP_DAC_READ_SEARCH,
    capabilities.CAP_SYS_PTRACE,
)

#: Verbs at a time: as many may wait for cards that do not answer.
THREADS = 32


def _sample() -> list[cfg.Opt]:
    options: list[cfg.Opt] = copy.deepcopy(priv_context.OPTS)
    defaults = {
        "capabilities": [capabilities.CAPS_BYVALUE[number] for number in CAPABILITIES],
        "thread_pool_size": THREADS,
    }
    for option in options:
        if option.name in defaults:
            option.default = defaults[option.name]
            option.sample_default = None
    return options


#: The same options with the defaults that they have here.
SAMPLE_OPTS = _sample()
