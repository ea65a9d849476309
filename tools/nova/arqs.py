"""Reading what the APIs say of ARQs and servers."""

from __future__ import annotations

from typing import Any

Arq = dict[str, Any]


def handle(arq: Arq) -> str:
    """Return what tells an ARQ's attach handle from all others."""
    info = sorted(arq["attach_handle_info"].items())
    return f"{arq['hostname']} {arq['attach_handle_type']} {info}"


def fault(server: Any) -> str:
    """Return what Nova says of a server's failure."""
    return str((server.fault or {}).get("message", "no fault"))
