"""Who may do what, by default. Every rule can be changed in the operator's policy file."""

from __future__ import annotations

import itertools
from typing import Any

from cyborg.policies import accelerator_requests, base, device_profiles, devices


def list_rules() -> list[Any]:
    """Return every rule with its default and documentation."""
    modules = (base, accelerator_requests, device_profiles, devices)
    return list(itertools.chain.from_iterable(module.RULES for module in modules))
