"""The configuration of our processes, as an operator of this stack would write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware import Hardware

Settings = dict[str, dict[str, Any]]

CONDUCTORS = ("conductor1", "conductor2")

#: Seconds between two comparisons with Placement.
COMPARISON = 5


def of_any(name: str, folder: Path, facts: Mapping[str, str]) -> Settings:
    """Return what every process needs."""
    return {
        "DEFAULT": {
            "host": name,
            "state_path": folder / name,
            "transport_url": facts["MS_TRANSPORT_URL"],
            "auth_strategy": "keystone",
            "periodic_interval": 3,
            "graceful_shutdown_timeout": 10,
        },
        "oslo_messaging_rabbit": {"rabbit_retry_backoff": 1, "rabbit_interval_max": 2},
    }


def of_agent(host: str, folder: Path, facts: Mapping[str, str], hardware: Hardware) -> Settings:
    """Return the settings of a host's agent, which has neither database nor credentials."""
    return {
        **of_any(host, folder, facts),
        "agent": {"resource_provider_name": host, "enabled_drivers": hardware.driver},
        **hardware.settings(),
    }


def of_controller(name: str, folder: Path, facts: Mapping[str, str], port: int) -> Settings:
    """Return the settings of a conductor or of the API; one file could serve both."""
    credentials = {
        "auth_type": "password",
        "auth_url": facts["MS_AUTH_URL"],
        "username": facts["MS_SERVICE_USER"],
        "password": facts["MS_SERVICE_PASSWORD"],
        "project_name": facts["MS_SERVICE_PROJECT"],
        "user_domain_name": facts["MS_DOMAIN"],
        "project_domain_name": facts["MS_DOMAIN"],
    }
    client = {**credentials, "region_name": facts["MS_REGION"], "valid_interfaces": "public"}
    return {
        **of_any(name, folder, facts),
        "database": {"connection": facts["MS_DB_URL"]},
        "api": {"port": port},
        "conductor": {
            "job_poll_interval": 0.5,
            "job_lease": 10,
            "provider_comparison_interval": COMPARISON,
            "release_attempts": 2,
            "leftover_comparison_interval": 2,
            "leftover_grace_period": 4,
            "request_expiry": 86400,
            "bind_failure_patience": 300,
        },
        "keystone_authtoken": {
            **credentials,
            "www_authenticate_uri": facts["MS_AUTH_URL"],
            "memcached_servers": facts["MS_MEMCACHED"],
            "service_token_roles": "service",
            "service_token_roles_required": "true",
            "service_type": "accelerator",
        },
        "placement": client,
        "nova": client,
    }


def write(path: Path, settings: Settings) -> str:
    """Write a configuration file and return its path."""
    lines = []
    for group, values in settings.items():
        lines.append(f"[{group}]")
        lines += [f"{key} = {value}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n")
    return str(path)
