"""The resources of the API: which paths and methods each has, and how they are found.

Each resource names its handlers in a table; nothing else can be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import webob

from cyborg.api import microversions
from cyborg.api.calls import Call, Services
from cyborg.api.errors import MethodNotAllowed
from cyborg.api.fields import View
from cyborg.api.microversions import V2_4
from cyborg.api.operations import ATTRIBUTE, Operation
from cyborg.api.paging import next_link
from cyborg.api.parameters import UUID, Parameter
from cyborg.db.database import Connection
from cyborg.domain.errors import NotFound
from cyborg.domain.paging import Page

R = TypeVar("R")

Methods = Mapping[str, str]
Found = tuple[Callable[..., object], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Routes:
    """HTTP method to the name of the handler, for each kind of path."""

    #: ``/devices``
    collection: Methods
    #: ``/devices/{segment}``
    item: Methods = field(default_factory=dict)
    #: ``/devices/{segment}/{action}``
    actions: Mapping[str, Methods] = field(default_factory=dict)
    #: ``/devices/{segment}/{action}/{anything}``
    action_items: Mapping[str, Methods] = field(default_factory=dict)

    def methods(self, segments: Sequence[str]) -> Methods:
        """Return what a path allows; nothing if there is no such path."""
        match segments:
            case []:
                return self.collection
            case [segment] if segment:
                return self.item
            case [segment, action] if segment:
                return self.actions.get(action, {})
            case [segment, action, last] if segment and last:
                return self.action_items.get(action, {})
        return {}

    def all(self) -> Iterator[tuple[str, str, str]]:
        """Return each route: the path after the resource's name, the method, the handler."""
        paths = [("", self.collection), ("/{uuid}", self.item)]
        paths += [(f"/{{uuid}}/{action}", methods) for action, methods in self.actions.items()]
        paths += [
            (f"/{{uuid}}/{action}/{{segment}}", methods)
            for action, methods in self.action_items.items()
        ]
        for path, methods in paths:
            for method, name in methods.items():
                yield path, method, name


class Resource:
    """Base of the controllers, one a resource."""

    routes: ClassVar[Routes]
    #: What is in a path behind the resource's name, for the API's description.
    identifier: ClassVar[Parameter] = Parameter("uuid", UUID, "The object's uuid.")

    def __init__(self, services: Services) -> None:
        self.services = services

    def find(self, request: webob.Request, segments: Sequence[str]) -> Found:
        """Return the handler of a request, and its segments.

        :raises NotFound: there is no such path.
        :raises MethodNotAllowed: there is, for other methods.
        """
        wanted = microversions.wanted(request.headers.get(microversions.HEADER))
        methods = {
            method: name
            for method, name in self.routes.methods(segments).items()
            # Without a version the handler itself refuses.
            if wanted is None or self.operation(name).since <= wanted
        }
        # Deployed clients know 404 for a PATCH of a collection.
        if not methods or (
            request.method == "PATCH" and not segments and request.method not in methods
        ):
            raise no_such_path()
        if request.method not in methods:
            raise MethodNotAllowed(methods)
        return getattr(self, methods[request.method]), segments[:1]

    def page(
        self,
        call: Call,
        key: str,
        view: View[R],
        find: Callable[[Connection, Page], Sequence[R]],
        path: str = "",
    ) -> dict[str, object]:
        """Return the page that a call asks for, as it is answered: the list first.

        :param find: reads a page from the database.
        :param path: of the collection, where it is not the key.
        """
        with self.services.database.reader() as connection:
            found = find(connection, call.page.and_one_more())
        page, more = call.page.cut(found)
        write = view.writer(call.version, call.base_url)
        body: dict[str, object] = {key: [write(record) for record in page]}
        if more and call.version >= V2_4:
            last: Any = page[-1]
            asked = call.request.GET
            body[f"{key}_links"] = next_link(call.base_url, path or key, asked, last.uuid)
        return body

    @classmethod
    def operation(cls, name: str) -> Operation:
        """Return the declaration of a handler."""
        found: Operation = getattr(getattr(cls, name), ATTRIBUTE)
        return found


def no_such_path() -> NotFound:
    """Return what is said of a path that is none."""
    return NotFound("The resource could not be found.")
