"""A directive that lists the errors of modules, from the classes themselves.

``.. cyborg-errors:: MODULE ...`` makes a table of every error class which these modules
define and whose code is its own, sorted by status and code. Of those with status 500 only the
base is there: nobody but the log is told which one it was.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from cyborg.domain.errors import CyborgError

HEADINGS = ("Status", "Code", "Meaning")


def errors_of(module: str) -> list[type[CyborgError]]:
    """Return the error classes that a module defines and that have a code of their own."""
    members = vars(importlib.import_module(module)).values()
    return [
        member
        for member in members
        if inspect.isclass(member)
        and issubclass(member, CyborgError)
        and member.__module__ == module
        and "code" in vars(member)
        and (member is CyborgError or member.http_status != CyborgError.http_status)
    ]


def meaning(error: type[CyborgError]) -> str:
    """Return the first paragraph of the class's description, else its name in words."""
    if error is CyborgError:
        return "Something that nobody expected. The answer tells the request id only."
    text = vars(error).get("__doc__")
    if text:
        return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", error.__name__)
    return f"{words[0]}{words[1:].lower()}."


class Errors(SphinxDirective):
    """The table."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Build it as a list-table, so that cells are parsed as any other text."""
        found = [error for name in self.arguments[0].split() for error in errors_of(name)]
        found.sort(key=lambda error: (error.http_status, error.code))
        rows = [HEADINGS] + [
            (str(error.http_status), f"``{error.code}``", meaning(error)) for error in found
        ]
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 10 40 50", ""]
        for row in rows:
            lines += [f"   {'*' if n == 0 else ' '} - {cell}" for n, cell in enumerate(row)]
        parent = nodes.section()
        parent.document = self.state.document
        self.state.nested_parse(StringList(lines, "errors"), self.content_offset, parent)
        return parent.children


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("cyborg-errors", Errors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
