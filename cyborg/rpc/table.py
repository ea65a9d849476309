"""Serving a table of use cases: what a door opens is what its table names.

A message gives arguments by name, and they are the use case's own. A name that is not in the
table, an argument that the use case does not have, one that it misses: each is refused in the
answer, so that processes of two releases tell each other what they lack.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import cattrs
import oslo_messaging
from oslo_log import log

from cyborg.domain.errors import ReleaseMismatch
from cyborg.rpc.transport import API_VERSION
from cyborg.rpc.wire import answer, from_wire

LOG = log.getLogger(__name__)

Answer = dict[str, Any]
UseCase = Callable[..., Any]

#: What of another process's text is worth a line in the log.
_TEXT_LENGTH = 300


class TableEndpoint:
    """An endpoint of oslo.messaging whose methods are the entries of a table."""

    target = oslo_messaging.Target(version=API_VERSION)

    def __init__(self, table: Mapping[str, UseCase], *first: object) -> None:
        """Make an endpoint.

        :param first: what each use case gets before the message's arguments.
        """
        self._table = {name: _Served(name, use_case, first) for name, use_case in table.items()}

    def ping(self, ctxt: object, /, **_arguments: object) -> Answer:
        """Answer that somebody is here."""
        return answer(lambda: "pong")

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        """Return what serves a message of this name, or what refuses it."""
        if name.startswith(("_", "oslo_")):
            raise AttributeError(name)

        def serve(ctxt: object, /, **arguments: Any) -> Answer:
            return answer(lambda: self._do(name, arguments))

        return serve

    def _do(self, name: str, arguments: Mapping[str, Any]) -> Any:
        try:
            if name not in self._table:
                raise ReleaseMismatch(f"This release knows no {name[:_TEXT_LENGTH]!r} here.")
            served = self._table[name]
            converted = served.converted(arguments)
        except ReleaseMismatch as error:
            LOG.warning("message not understood: %s", error)
            raise
        return served.use_case(*served.first, **converted)


class _Served:
    def __init__(self, name: str, use_case: UseCase, first: tuple[object, ...]) -> None:
        self.name = name
        self.use_case = use_case
        self.first = first
        parameters = list(inspect.signature(use_case).parameters.values())[len(first) :]
        types = typing.get_type_hints(use_case)
        self._types = {parameter.name: types.get(parameter.name) for parameter in parameters}
        self._required = [
            parameter.name for parameter in parameters if parameter.default is parameter.empty
        ]

    def converted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the use case wants them.

        Records and enumerations are made from plain data, as the use case's annotations say;
        all else is what JSON has.

        :raises ReleaseMismatch: one is unknown, missing, or of another form.
        """
        unknown = [name for name in arguments if name not in self._types]
        missing = [name for name in self._required if name not in arguments]
        if unknown:
            raise ReleaseMismatch(
                f"This release does not know the argument {unknown[0][:_TEXT_LENGTH]!r} "
                f"of {self.name}."
            )
        if missing:
            raise ReleaseMismatch(f"This release needs the argument {missing[0]!r} of {self.name}.")
        return {name: self._convert(name, value) for name, value in arguments.items()}

    def _convert(self, name: str, value: Any) -> Any:
        kind = self._types[name]
        if not _is_ours(kind):
            return value
        try:
            return from_wire(kind, value)
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            raise ReleaseMismatch(
                f"This release does not understand the argument {name!r} of {self.name}: "
                f"{_innermost(error)}"
            ) from error


def _is_ours(kind: Any) -> typing.TypeGuard[type[Any]]:
    """Return whether values of an annotation are more than JSON."""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, Enum))


def _innermost(error: BaseException) -> str:
    """Return what is wrong with which field, without what the message held beside it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    notes = " ".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error} {notes}".strip()[:_TEXT_LENGTH]
