"""Rules for devices, deployables and attributes."""

from __future__ import annotations

from oslo_policy import policy

from cyborg.policies.base import ACCELERATOR_ADMIN, SCOPES, SYSTEM_ADMIN

DEVICE_GET_ALL = "cyborg:device:get_all"
DEVICE_GET_ONE = "cyborg:device:get_one"
DEVICE_ENABLE = "cyborg:device:enable"
DEVICE_DISABLE = "cyborg:device:disable"
DEPLOYABLE_GET_ALL = "cyborg:deployable:get_all"
DEPLOYABLE_GET_ONE = "cyborg:deployable:get_one"
DEPLOYABLE_PROGRAM = "cyborg:deployable:program"
ATTRIBUTE_GET_ALL = "cyborg:attribute:get_all"
ATTRIBUTE_GET_ONE = "cyborg:attribute:get_one"
ATTRIBUTE_CREATE = "cyborg:attribute:create"
ATTRIBUTE_DELETE = "cyborg:attribute:delete"

_READ = f"{ACCELERATOR_ADMIN} or {SYSTEM_ADMIN}"


# A SmartNIC carries everybody's traffic.
_PROGRAM = f"{SYSTEM_ADMIN} or ({ACCELERATOR_ADMIN} and not 'NIC':%(device_type)s)"


def _rule(
    name: str, check: str, description: str, method: str, path: str
) -> policy.DocumentedRuleDefault:
    return policy.DocumentedRuleDefault(
        name, check, description, [{"method": method, "path": path}], scope_types=SCOPES
    )


RULES = [
    _rule(DEVICE_GET_ALL, _READ, "List devices.", "GET", "/v2/devices"),
    _rule(DEVICE_GET_ONE, _READ, "Show a device.", "GET", "/v2/devices/{uuid}"),
    _rule(DEVICE_ENABLE, SYSTEM_ADMIN, "Enable a device.", "POST", "/v2/devices/{uuid}/enable"),
    _rule(DEVICE_DISABLE, SYSTEM_ADMIN, "Disable a device.", "POST", "/v2/devices/{uuid}/disable"),
    _rule(DEPLOYABLE_GET_ALL, _READ, "List deployables.", "GET", "/v2/deployables"),
    _rule(DEPLOYABLE_GET_ONE, _READ, "Show a deployable.", "GET", "/v2/deployables/{uuid}"),
    _rule(
        DEPLOYABLE_PROGRAM,
        _PROGRAM,
        "Program a deployable; %(device_type)s is its device's type. While an accelerator "
        "request of another project holds a part of it, nobody can.",
        "PATCH",
        "/v2/deployables/{uuid}/program",
    ),
    _rule(ATTRIBUTE_GET_ALL, _READ, "List attributes.", "GET", "/v2/attributes"),
    _rule(ATTRIBUTE_GET_ONE, _READ, "Show an attribute.", "GET", "/v2/attributes/{uuid}"),
    _rule(
        ATTRIBUTE_CREATE,
        SYSTEM_ADMIN,
        "Create an attribute of a deployable.",
        "POST",
        "/v2/attributes",
    ),
    _rule(
        ATTRIBUTE_DELETE, SYSTEM_ADMIN, "Delete an attribute.", "DELETE", "/v2/attributes/{uuid}"
    ),
]
