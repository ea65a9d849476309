"""Rules for device profiles."""

from __future__ import annotations

from oslo_policy import policy

from cyborg.policies.base import READER, SCOPES, SERVICE_TOKEN, SYSTEM_ADMIN

GET_ALL = "cyborg:device_profile:get_all"
GET_ONE = "cyborg:device_profile:get_one"
CREATE = "cyborg:device_profile:create"
UPDATE = "cyborg:device_profile:update"
DELETE = "cyborg:device_profile:delete"

_READ = f"{READER} or {SERVICE_TOKEN}"

RULES = [
    policy.DocumentedRuleDefault(
        GET_ALL,
        _READ,
        "List device profiles.",
        [{"method": "GET", "path": "/v2/device_profiles"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        GET_ONE,
        _READ,
        "Show a device profile.",
        [{"method": "GET", "path": "/v2/device_profiles/{uuid or name}"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        CREATE,
        SYSTEM_ADMIN,
        "Create a device profile.",
        [{"method": "POST", "path": "/v2/device_profiles"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        UPDATE,
        SYSTEM_ADMIN,
        "Change a device profile: its description, and its name and groups while nothing uses it.",
        [{"method": "PATCH", "path": "/v2/device_profiles/{uuid or name}"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        DELETE,
        SYSTEM_ADMIN,
        "Delete device profiles.",
        [
            {"method": "DELETE", "path": "/v2/device_profiles"},
            {"method": "DELETE", "path": "/v2/device_profiles/{uuid or name}"},
        ],
        scope_types=SCOPES,
    ),
]
