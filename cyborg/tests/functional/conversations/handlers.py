"""What files say of answers, beside what gabbi knows; and what holds of every answer."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, ClassVar

from gabbi.handlers.base import ResponseHandler
from gabbi.handlers.core import (
    ForbiddenHeadersResponseHandler,
    HeadersResponseHandler,
    StringResponseHandler,
)
from gabbi.handlers.jsonhandler import JSONHandler
from jsonpath_ng import ext as jsonpath

_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}\+00:00$"


class Json(JSONHandler):  # type: ignore[misc]  # gabbi has no types
    """Gabbi's own, but it understands each path once: that is what takes most of its time."""

    @staticmethod
    def extract_json_path_value(data: Any, path: str) -> Any:
        """Return what is at a path: the value, or a list of them where there are several.

        :raises ValueError: nothing is.
        """
        values = [match.value for match in _understood(path).find(data)]
        if not values:
            raise ValueError(f"nothing is at {path} of {data}")
        return values[0] if len(values) == 1 else values


@cache
def _understood(path: str) -> Any:
    return jsonpath.parse(path)  # type: ignore[attr-defined]  # it is exported, if not by name


class Fault(ResponseHandler):  # type: ignore[misc]  # as above
    """``response_fault``: what the text of an error contains, or a regular expression."""

    test_key_suffix = "fault"
    test_key_value: ClassVar[list[str]] = []

    def __call__(self, test: Any) -> None:
        """Check what holds of every answer, and then what the file says."""
        status = int(test.response["status"])
        assert status != 500, test.output
        # What a page of another origin asks beforehand is answered further out.
        if "access-control-allow-methods" not in test.response:
            assert test.response["x-openstack-request-id"].startswith("req-")
        if test.output:
            test.assertEqual("application/json", test.response["content-type"])
        if status >= 400 and test.test_data["method"].upper() != "HEAD":
            check_form(test.output, status, _is_coded(test))
        super().__call__(test)

    def action(self, test: Any, item: str, value: object = None) -> None:
        """Look for one text."""
        text = fault_of(test.output)
        regular = self.is_regex(item)
        expected = test.replace_template(item, escape_regex=regular)
        if regular:
            test.assertRegex(text, expected[1:-1])
        else:
            test.assertIn(str(expected), text)


class FirstKey(ResponseHandler):  # type: ignore[misc]  # as above
    """``response_first_key``: the first key of the object, which a client looks at."""

    test_key_suffix = "first_key"
    test_key_value: ClassVar[list[str]] = []

    def action(self, test: Any, item: str, value: object = None) -> None:
        """Compare it."""
        test.assertEqual(item, next(iter(test.response_data)))


class Keys(ResponseHandler):  # type: ignore[misc]  # as above
    """``response_keys``: all keys of the object at a path, and their order does not matter."""

    test_key_suffix = "keys"
    test_key_value: ClassVar[dict[str, list[str]]] = {}

    def action(self, test: Any, item: str, value: object = None) -> None:
        """Compare them."""
        found = Json.extract_json_path_value(test.response_data, item)
        assert isinstance(value, list)
        test.assertEqual(sorted(value), sorted(found))


class Times(ResponseHandler):  # type: ignore[misc]  # as above
    """``response_times``: paths of times in the form that the contract has."""

    test_key_suffix = "times"
    test_key_value: ClassVar[list[str]] = []

    def action(self, test: Any, item: str, value: object = None) -> None:
        """Compare one."""
        test.assertRegex(Json.extract_json_path_value(test.response_data, item), _TIME)


class Empty(ResponseHandler):  # type: ignore[misc]  # as above
    """``response_empty``: there is no body."""

    test_key_suffix = "empty"
    test_key_value: ClassVar[list[str]] = []

    def action(self, test: Any, item: str, value: object = None) -> None:
        """Look at the body."""
        assert item == "body"
        assert not test.output


HANDLERS = [
    Fault,
    FirstKey,
    Keys,
    Times,
    Empty,
    Json,
    StringResponseHandler,
    HeadersResponseHandler,
    ForbiddenHeadersResponseHandler,
]


def fault_of(output: str) -> str:
    """Return the text of an error."""
    return str(json.loads(json.loads(output)["error_message"])["faultstring"])


def check_form(output: str, status: int, coded: bool) -> None:
    """Check that an error looks like all others of its version."""
    body = json.loads(output)
    assert list(body) == ["error_message"], output
    fault = json.loads(body["error_message"])
    assert list(fault) == ["faultcode", "faultstring", "debuginfo"] + ["code"] * coded, output
    assert fault["faultcode"] == ("Client" if status < 500 else "Server"), output
    assert fault["debuginfo"] is None, output
    assert len(fault["faultstring"]) > 10, output


def _is_coded(test: Any) -> bool:
    """Return whether an error has a code: since 2.4, and where no version was agreed on."""
    asked = test.test_data["request_headers"].get("openstack-api-version", "accelerator 2.0")
    *service, version = asked.split()
    if service not in ([], ["accelerator"]) or version == "latest":
        return bool(version == "latest" and service != ["compute"])
    match = re.fullmatch(r"([0-9]+)\.([0-9]+)", version)
    return match is None or (int(match[1]), int(match[2])) >= (2, 4) or int(match[1]) < 2
