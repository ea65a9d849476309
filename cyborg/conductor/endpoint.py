"""What a conductor can be asked over RPC: a table for the API, and one for the agents.

A use case has the signature of the client's method of that name, behind its environment. What a
caller may see of an error crosses in the envelope; anything else is logged by oslo.messaging with
its traceback and reaches the caller without details.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cyborg.conductor import (
    binding,
    catalogue,
    company,
    creating,
    finishing,
    inventory,
    programming,
    progress,
    releasing,
    restoring,
)

#: :class:`cyborg.rpc.conductor.ConductorClient`.
API_USE_CASES: Mapping[str, Callable[..., Any]] = {
    "create_accelerator_requests": creating.create,
    "bind": binding.bind,
    "unbind": releasing.unbind,
    "delete_accelerator_requests": releasing.delete,
    "delete_accelerator_requests_of": releasing.delete_of_instance,
    "create_device_profile": catalogue.create_device_profile,
    "update_device_profile": catalogue.update_device_profile,
    "delete_device_profiles": catalogue.delete_device_profiles,
    "set_device_status": catalogue.set_device_status,
    "create_attribute": catalogue.create_attribute,
    "delete_attribute": catalogue.delete_attribute,
    "program": programming.program,
}

#: :class:`cyborg.rpc.agents_door.AgentsDoorClient`. Whoever has root on a compute host may call
#: these, and nothing else.
AGENT_USE_CASES: Mapping[str, Callable[..., Any]] = {
    "resume": restoring.resume,
    "heartbeat": inventory.heartbeat,
    "report": inventory.report,
    "begin_work": finishing.begin,
    "finish_job": finishing.finish,
    "company": company.company,
    "tell_progress": progress.tell_progress,
}
