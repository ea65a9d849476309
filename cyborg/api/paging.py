"""Pages on the wire: ``limit``, ``marker``, ``sort``, and the link to the next page.

``limit`` and ``marker`` are known in every version, since deployed clients send them. From
microversion 2.4 on there is ``sort``, no answer is larger than ``[api] max_limit``, and
one that is not the last has a link to the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Any
from urllib.parse import urlencode

from cyborg.api import microversions
from cyborg.api.body import check_text
from cyborg.api.microversions import V2_4, Version
from cyborg.api.parameters import UUID, Kind, Parameter, number
from cyborg.domain.errors import InvalidInput
from cyborg.domain.paging import Page, SortKey

LIMIT = Parameter("limit", number(1), "At most so many objects.")
MARKER = Parameter("marker", UUID, "Only what comes after the object of this uuid.")

#: Of what clients know as filters, before 2.4, these have an effect.
_EFFECTIVE = ("limit", "marker", "sort_key", "sort_dir", "name")
#: Known and without effect, as they have always been.
_IDLE = (
    "parent_uuid",
    "root_uuid",
    "board",
    "availability",
    "interface_type",
    "instance_uuid",
)
_FILTER = {
    "type": "object",
    "properties": {"field": {"enum": [*_EFFECTIVE, *_IDLE]}, "value": {}},
    "required": ["field", "value"],
}
#: Never parsed as one: see :func:`without_filters`.
FILTERS = Parameter(
    "filters",
    Kind(
        {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [_FILTER, {"type": "array", "items": _FILTER}]},
        },
        lambda _name, text: text,
    ),
    "JSON: a field and a value, or a list of these. Also as filters.field and filters.value, or "
    "filters[0].field and filters[0].value.",
    until=V2_4,
)
_DOTTED = re.compile(r"filters(?:\[([0-9]{1,2})\])?\.(field|value)\Z")


def sort_parameters(
    sortable: Collection[str], newer: Mapping[str, Version]
) -> tuple[Parameter, ...]:
    """Return ``sort`` of a collection, once for each version in which it has other keys.

    :param newer: the keys that are not known in each of them, and since when they are.
    """
    changes = sorted({V2_4, *newer.values()})
    return tuple(
        _sort_parameter(sortable, {k: v for k, v in newer.items() if v <= since}, since, until)
        for since, until in zip_longest(changes, changes[1:])
    )


def _sort_parameter(
    sortable: Collection[str], newer: Mapping[str, Version], since: Version, until: Version | None
) -> Parameter:
    said = [*sortable]
    said += [f"{key} (since {microversions.text(version)})" for key, version in newer.items()]
    return Parameter(
        "sort",
        _order([*sortable, *newer]),
        f"Keys of the order, as key:asc or key:desc, separated by commas: {', '.join(said)}.",
        since=since,
        until=until,
    )


def page(query: Mapping[str, Any], version: Version, maximum: int) -> Page:
    """Return the page that a query asks for."""
    limit = query.get("limit")
    if version >= V2_4:
        limit = min(limit or maximum, maximum)
    return Page(limit, query.get("marker"), query.get("sort", ()))


def next_link(base: str, resource: str, asked: Mapping[str, str], last: str) -> object:
    """Return the links of an answer that ends with the object of uuid ``last``."""
    query = urlencode({**asked, "marker": last})
    return [{"rel": "next", "href": f"{base}/v2/{resource}?{query}"}]


def without_filters(
    pairs: Sequence[tuple[str, str]], sortable: Collection[str]
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Take ``filters`` out of a query, in the dotted form or in JSON.

    :returns: the query with the page that they ask for; and the values of what has no
        parameter of its own before 2.4: ``sort`` and ``name``.
    :raises InvalidInput: a filter is not one.
    """
    rest, found = _split(pairs)
    filters = dict(found)
    unknown = sorted(set(filters) - set(_EFFECTIVE) - set(_IDLE))
    if unknown:
        raise InvalidInput(
            f"Unknown filter: {', '.join(unknown)[:300]}. Known: {', '.join(_EFFECTIVE)}."
        )
    rest += [(name, filters[name]) for name in ("limit", "marker") if name in filters]
    meant: dict[str, Any] = {"name": filters["name"]} if "name" in filters else {}
    if "sort_key" in filters or "sort_dir" in filters:
        key, direction = filters.get("sort_key", "created_at"), filters.get("sort_dir", "asc")
        meant["sort"] = _parse_order(sortable, f"{key}:{direction}")
    return rest, meant


def _split(
    pairs: Sequence[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the query without filters, and the filters: field and value."""
    rest: list[tuple[str, str]] = []
    found: list[tuple[str, str]] = []
    dotted: dict[str, dict[str, str]] = {}
    for name, value in pairs:
        match = _DOTTED.match(name)
        if match:
            dotted.setdefault(match[1] or "", {})[match[2]] = value
        elif name == FILTERS.name:
            found += _from_json(value)
        else:
            rest.append((name, value))
    for one in dotted.values():
        if set(one) != {"field", "value"}:
            raise InvalidInput("A filter needs a field and a value.")
        found.append((one["field"], one["value"]))
    return rest, found


def _from_json(text: str) -> list[tuple[str, str]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("'filters' is neither JSON nor in the dotted form.") from error
    filters = data if isinstance(data, list) else [data]
    for one in filters:
        if not isinstance(one, dict) or not isinstance(one.get("field"), str) or "value" not in one:
            raise InvalidInput("A filter needs a field and a value.")
    found = [(one["field"], str(one["value"])) for one in filters]
    for pair in found:
        # JSON can have what the query itself was checked for.
        check_text("".join(pair), "A filter")
    return found


def _order(sortable: Collection[str]) -> Kind:
    key = f"({'|'.join(sortable)})(:(asc|desc))?"
    return Kind(
        {"type": "string", "pattern": f"^{key}(,{key})*$"},
        lambda _name, text: _parse_order(sortable, text),
    )


def _parse_order(sortable: Collection[str], text: str) -> tuple[SortKey, ...]:
    keys: dict[str, SortKey] = {}
    for part in text.split(","):
        name, _, direction = part.partition(":")
        if name not in sortable or direction not in ("", "asc", "desc"):
            raise InvalidInput(
                f"It can be sorted by {', '.join(sortable)}, each with :asc or :desc; "
                f"not by '{part[:100]}'."
            )
        # Once more the same key changes nothing.
        keys.setdefault(name, SortKey(name, direction == "desc"))
    return tuple(keys.values())
