"""The rules that the others are made of: the one place where roles are mapped.

The object's project is that of the accelerator request; where there is no object with a
project (a device, a device profile, an ARQ that is only being created) it is the caller's.
"""

from __future__ import annotations

from oslo_policy import policy

SYSTEM_ADMIN = "rule:system_admin"
SERVICE_TOKEN = "rule:service_token"  # noqa: S105 -- a rule, no secret
OWNER = "rule:owner"
READER = "rule:reader"
PROJECT_READER = "rule:project_reader"
ACCELERATOR_ADMIN = "rule:accelerator_admin"
ACCELERATOR_USER = "rule:accelerator_user"

SCOPES = ["project"]

RULES = [
    policy.RuleDefault("system_admin", "role:admin", "The administrator of the whole cloud."),
    policy.RuleDefault(
        "service_token",
        "service_token:True",
        "A service (Nova) asks: X-Service-Token is valid and bears one of "
        "[keystone_authtoken] service_token_roles.",
    ),
    policy.RuleDefault("owner", "project_id:%(project_id)s", "The object is of the same project."),
    policy.RuleDefault(
        "project_admin",
        f"(role:manager or role:admin) and {OWNER}",
        "The administrator of the object's project.",
    ),
    policy.RuleDefault(
        "project_reader", f"role:reader and {OWNER}", "A reader of the object's project."
    ),
    policy.RuleDefault("reader", f"role:reader or {SYSTEM_ADMIN}", "A reader of any project."),
    policy.RuleDefault(
        "accelerator_admin",
        "role:accelerator_admin or rule:project_admin",
        "May bind and program accelerators of the project. Whoever may bind may program a device.",
    ),
    policy.RuleDefault(
        "accelerator_user",
        f"role:accelerator_user or {ACCELERATOR_ADMIN}",
        "May ask for accelerators of the project.",
    ),
]
