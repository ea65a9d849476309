"""Rules for device profiles: what may be stored, and how many ARQs a group makes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

from cyborg.domain.errors import InvalidInput

#: Classes that are accelerators wherever they appear.
ACCELERATOR_CLASSES = frozenset({"FPGA", "GPU", "PGPU", "VGPU"})

#: Most ARQs that one profile may ask for, and so one request may create.
MAX_UNITS = 64

#: Characters of all groups as JSON: what a TEXT column of MariaDB holds.
MAX_SIZE = 60_000

#: Characters of a description: what a TEXT column of MariaDB holds, whatever they are.
MAX_DESCRIPTION = 16_000

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]{1,248}\Z")
_AMOUNT = re.compile(r"[0-9]{1,9}\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_RESOURCES, _TRAIT, _ACCEL = "resources:", "trait:", "accel:"
_REQUIRED, _FORBIDDEN = "required", "forbidden"


#: What a group may ask to be loaded before its bind: an image of Glance, or whichever has the
#: property of this name with this value.
BITSTREAM_ID, FUNCTION_ID = "accel:bitstream_id", "accel:function_id"
_LOADED = frozenset({BITSTREAM_ID, FUNCTION_ID})

#: Characters of a property's value in Glance that an index finds.
_MAX_FUNCTION_ID = 255


def check_name(name: object) -> str:
    """Return the name if a profile may have it.

    :raises InvalidInput: not a string, empty, over 255 characters, or with anything
        but letters, digits, ``-`` and ``_``.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidInput("A device profile's name must be 1 to 255 letters, digits, '-' or '_'.")
    return name


def check_description(description: object) -> str | None:
    """Return the description if a profile may have it.

    :raises InvalidInput: neither null nor a string, or too long.
    """
    if description is not None and not isinstance(description, str):
        raise InvalidInput("A device profile's description must be a string or null.")
    if description is not None and len(description) > MAX_DESCRIPTION:
        raise InvalidInput(f"A description has at most {MAX_DESCRIPTION} characters.")
    return description


def parse_groups(groups: object) -> tuple[dict[str, str], ...]:
    """Return the groups as they are stored: flat strings, keys without stray spaces.

    The order is kept, since a group's position is its id for Nova.

    :raises InvalidInput: with the offending group and key.
    """
    if not isinstance(groups, list) or not groups:
        raise InvalidInput("A device profile needs a non-empty list of groups.")
    parsed = tuple(_parse_group(position, group) for position, group in enumerate(groups))
    for position in without_resources(parsed):
        raise InvalidInput(f"Group {position} asks for no resources: it needs a 'resources:' key.")
    asked = sum(_amount(value) for group in parsed for _, value in _resources(group))
    if asked > MAX_UNITS:
        raise InvalidInput(f"The profile asks for {asked} accelerators; {MAX_UNITS} is the most.")
    if len(json.dumps(parsed)) > MAX_SIZE:
        raise InvalidInput(f"The groups are too long: {MAX_SIZE} characters is the most.")
    return parsed


def units(group: Mapping[str, str], known_classes: Collection[str] = ()) -> int:
    """Return how many ARQs the group makes: one for each unit of an accelerator class.

    Accelerator classes are :data:`ACCELERATOR_CLASSES`, ``known_classes`` (those that a
    deployable of this cloud has), and any class that is alone in its group; other
    classes only qualify the provider (local memory, say).
    """
    resources = _resources(group)
    if len(resources) == 1:
        return _amount(resources[0][1])
    accelerators = ACCELERATOR_CLASSES | set(known_classes)
    return sum(_amount(value) for name, value in resources if name in accelerators)


def needs_known_classes(groups: Sequence[Mapping[str, str]]) -> bool:
    """Return whether :func:`units` of any group depends on ``known_classes``."""
    return any(
        len(resources) > 1 and any(name not in ACCELERATOR_CLASSES for name, _ in resources)
        for resources in map(_resources, groups)
    )


def without_resources(groups: Sequence[Mapping[str, str]]) -> list[int]:
    """Return the positions of the groups that ask for no amount of any class.

    To Nova such a group is a request like any other, and Placement has nothing to choose for it.
    """
    return [
        position
        for position, group in enumerate(groups)
        if not any(_amount(value) for _, value in _resources(group))
    ]


def asks_for(group: Mapping[str, str], resource_class: str) -> bool:
    """Return whether the group asks for some of a resource class."""
    return _RESOURCES + resource_class in group


def objection(group: Mapping[str, str], traits: Collection[str]) -> str | None:
    """Return what of a provider of these traits the group does not take, in words; None: all is
    well."""
    for key, value in group.items():
        name = key.removeprefix(_TRAIT)
        if not key.startswith(_TRAIT) or (name in traits) is (value == _REQUIRED):
            continue
        if value == _REQUIRED:
            return f"lacks the trait {name}, which the device profile's group requires"
        return f"has the trait {name}, which the device profile's group forbids"
    return None


def needs_programming(group: Mapping[str, str]) -> bool:
    """Return whether a bind of this group must load a bitstream first."""
    return not _LOADED.isdisjoint(group)


def keys_without_effect(groups: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the ``accel:`` keys that are kept and mean nothing here, each once, sorted."""
    keys = {key for group in groups for key in group}
    return tuple(sorted(key for key in keys - _LOADED if key.startswith(_ACCEL)))


def _resources(group: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (key.removeprefix(_RESOURCES), value)
        for key, value in group.items()
        if key.startswith(_RESOURCES)
    ]


def _amount(value: str) -> int:
    return int(value)


def _parse_group(position: int, group: object) -> dict[str, str]:
    if not isinstance(group, dict) or not group:
        raise InvalidInput(f"Group {position} must be an object with at least one key.")
    parsed: dict[str, str] = {}
    for key, value in group.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidInput(f"Group {position}: the value of '{key}' must be a string.")
        # In JSON 2.0 is a whole number.
        is_whole = key.startswith(_RESOURCES) and isinstance(value, float) and value.is_integer()
        text = str(int(value) if is_whole else value).strip()
        stored_key, stored_value = _parse_item(position, key, text)
        if stored_key in parsed:
            raise InvalidInput(f"Group {position}: '{stored_key}' is given twice.")
        parsed[stored_key] = stored_value
    if parsed.keys() >= _LOADED:
        raise InvalidInput(
            f"Group {position}: '{BITSTREAM_ID}' and '{FUNCTION_ID}' exclude each other."
        )
    return parsed


def _parse_item(position: int, key: str, value: str) -> tuple[str, str]:
    if key.startswith(_RESOURCES):
        name = key.removeprefix(_RESOURCES).strip()
        if name not in ACCELERATOR_CLASSES and not _CUSTOM.match(name):
            raise InvalidInput(
                f"Group {position}: '{name}' is not a resource class for accelerators: "
                "FPGA, GPU, PGPU, VGPU or CUSTOM_ and capitals, digits, '_'."
            )
        if not _AMOUNT.match(value) or int(value) < 1:
            raise InvalidInput(
                f"Group {position}: the amount of '{name}' must be a whole number from 1 on."
            )
        return _RESOURCES + name, str(int(value))
    if key.startswith(_TRAIT):
        name = key.removeprefix(_TRAIT).strip()
        if not _CUSTOM.match(name):
            raise InvalidInput(
                f"Group {position}: trait '{name}' must be CUSTOM_ and capitals, digits, '_'."
            )
        if value not in (_REQUIRED, _FORBIDDEN):
            raise InvalidInput(
                f"Group {position}: trait '{name}' must be 'required' or 'forbidden'."
            )
        return key.split(":", 1)[0] + ":" + name, value
    if key.startswith(_ACCEL) and len(key) > len(_ACCEL):
        return _parse_accel(position, key, value)
    raise InvalidInput(
        f"Group {position}: key '{key}' must begin with 'resources:', 'trait:' or 'accel:'."
    )


def _parse_accel(position: int, key: str, value: str) -> tuple[str, str]:
    name = key.removeprefix(_ACCEL).strip()
    key = _ACCEL + name
    if key == BITSTREAM_ID:
        value = value.lower()
        if not _UUID.match(value):
            raise InvalidInput(f"Group {position}: the value of '{key}' must be a uuid.")
    if key == FUNCTION_ID and not 0 < len(value) <= _MAX_FUNCTION_ID:
        raise InvalidInput(
            f"Group {position}: the value of '{key}' must have 1 to {_MAX_FUNCTION_ID} characters."
        )
    if not name:
        raise InvalidInput(f"Group {position}: '{_ACCEL}' needs a name behind it.")
    return key, value
