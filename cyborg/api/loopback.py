"""Whether a request comes from this machine: nobody else may come unauthenticated."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

#: Beginnings of headers that a proxy adds. Who is behind it is not known, or not for certain.
_PROXY = ("HTTP_FORWARDED", "HTTP_X_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def why_not_local(environ: Mapping[str, Any]) -> str | None:
    """Return what speaks against a request being one of this machine, None if nothing does.

    A server that does not know its callers' addresses (one on a UNIX socket) has a proxy
    before it.
    """
    address = environ.get("REMOTE_ADDR") or "unknown"
    if not is_loopback(address):
        return f"it comes from {address[:50]}"
    if any(name.startswith(_PROXY) for name in environ):
        return "it comes through a proxy"
    if not is_loopback(_name(environ.get("HTTP_HOST") or "localhost")):
        # Through a proxy that says no more than this; or a page in a browser here, whose own
        # name leads to this address.
        return "it is for another host"
    return None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
