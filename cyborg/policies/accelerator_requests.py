"""Rules for accelerator requests (ARQs)."""

from __future__ import annotations

from oslo_policy import policy

from cyborg.policies.base import (
    ACCELERATOR_ADMIN,
    ACCELERATOR_USER,
    OWNER,
    PROJECT_READER,
    SCOPES,
    SERVICE_TOKEN,
    SYSTEM_ADMIN,
)

GET_ALL = "cyborg:arq:get_all"
GET_ONE = "cyborg:arq:get_one"
CREATE = "cyborg:arq:create"
UPDATE = "cyborg:arq:update"
DELETE = "cyborg:arq:delete"

_READ = f"{PROJECT_READER} or {SYSTEM_ADMIN} or {SERVICE_TOKEN}"
_FOR_A_MEMBER = f"(role:member and {SERVICE_TOKEN})"

RULES = [
    policy.DocumentedRuleDefault(
        GET_ALL,
        _READ,
        "List accelerator requests. Whom the rule allows to read any project's sees all.",
        [{"method": "GET", "path": "/v2/accelerator_requests"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        GET_ONE,
        _READ,
        "Show an accelerator request. One that may not be read does not exist for the caller.",
        [{"method": "GET", "path": "/v2/accelerator_requests/{uuid}"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        CREATE,
        f"{ACCELERATOR_USER} or role:service or {_FOR_A_MEMBER}",
        "Create accelerator requests in the caller's project.",
        [{"method": "POST", "path": "/v2/accelerator_requests"}],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        UPDATE,
        f"{SERVICE_TOKEN} or ({OWNER} and {ACCELERATOR_ADMIN} and False:%(bound_by_service)s)",
        "Bind and unbind accelerator requests. Who may do it without a service may take and "
        "program a device.",
        [
            {"method": "PATCH", "path": "/v2/accelerator_requests"},
            {"method": "PATCH", "path": "/v2/accelerator_requests/{uuid}"},
        ],
        scope_types=SCOPES,
    ),
    policy.DocumentedRuleDefault(
        DELETE,
        f"(True:%(bound)s and {SERVICE_TOKEN}) or (False:%(bound)s and ("
        f"(({ACCELERATOR_USER} or role:service) and ({OWNER} or {SERVICE_TOKEN}))"
        f" or {_FOR_A_MEMBER}))",
        "Delete accelerator requests: bound ones and those of an instance need a service token.",
        [
            {"method": "DELETE", "path": "/v2/accelerator_requests"},
            {"method": "DELETE", "path": "/v2/accelerator_requests/{uuid}"},
        ],
        scope_types=SCOPES,
    ),
]
