"""How ``cyborg-agent --show-inventory`` prints what it has found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cyborg.agent.showing import Shown


def as_json(shown: Shown) -> str:
    """Return one JSON object, documented in the operator's pages."""
    found = {
        "host": shown.host,
        "devices": list(shown.devices),
        "left_out": list(shown.left_out),
        "problems": list(shown.problems),
    }
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def as_text(shown: Shown) -> str:
    """Return what a person reads."""
    lines = [f"Host {shown.host}: {_counted(len(shown.devices), 'device')}"]
    for device in shown.devices:
        lines += ["", *_device(device)]
    lines += _list("Left out", [f"{x['address']}: {x['reason']}" for x in shown.left_out])
    lines += _list("Problems", [f"{x['where']}: {x['what']}" for x in shown.problems])
    return "\n".join(lines) + "\n"


def _device(device: Mapping[str, Any]) -> Iterator[str]:
    yield f"{device['identity']}  {device['type']}  {device['model']}"
    facts = {
        "address": _address(device["control_path"]),
        "driver": f"{device['driver']} (of the kernel: {device['kernel_driver'] or 'none'})",
        "NUMA node": "unknown" if device["numa_node"] is None else device["numa_node"],
        "IOMMU group": "none" if device["iommu_group"] is None else device["iommu_group"],
        "reset methods": " ".join(device["reset_methods"]) or "none",
        "condition": _condition(device),
    }
    for name, value in facts.items():
        yield f"  {name + ':':<15}{value}"
    if not device["deployables"]:
        yield "  nothing of it is offered"
    for part in device["deployables"]:
        yield f"  offers {part['num_accelerators']} {part['resource_class']} as {part['name']}"
        yield f"    traits:  {' '.join(part['traits']) or 'none'}"
        yield f"    handles: {' '.join(_handle(handle) for handle in part['handles']) or 'none'}"


def _condition(device: Mapping[str, Any]) -> str:
    reason = device["reason"]
    return f"{device['condition']}, {reason}" if reason else str(device["condition"])


def _handle(handle: Mapping[str, Any]) -> str:
    return f"{handle['type']}:{_address(handle['info']) or handle['key']}"


def _address(info: Mapping[str, str]) -> str:
    try:
        return "{domain}:{bus}:{device:0>2}.{function}".format_map(info)
    except KeyError:
        return ""


def _list(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
