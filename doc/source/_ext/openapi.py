"""The API's description of itself, in the documentation: made at each build, never committed.

An HTML build gets ``openapi/VERSION.json``, one a microversion. ``.. cyborg-openapi::`` links to
them, and lists the operations: which there are, what each is for, and since when.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from cyborg.api import microversions, openapi
from cyborg.api.app import RESOURCES
from cyborg.api.microversions import MAXIMUM, MINIMUM, Version

FOLDER = "openapi"


def versions() -> list[Version]:
    """Return the microversions, from the oldest."""
    return [(MINIMUM[0], minor) for minor in range(MINIMUM[1], MAXIMUM[1] + 1)]


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Return each operation: method, path, what it is for, and since which microversion."""
    for name, resource in RESOURCES.items():
        for path, method, operation in openapi.operations_of(resource):
            since = microversions.text(operation.since)
            yield method, f"``/v2/{name}{path}``", operation.summary, since


class OpenApi(SphinxDirective):
    """The links, and the table."""

    def run(self) -> list[nodes.Node]:
        """Build it as rst, so that cells are parsed as any other text."""
        # No page of Sphinx's, so a link as to the outside; relative to the page.
        up = "../" * self.env.docname.count("/")
        links = [microversions.text(version) for version in versions()]
        lines = [", ".join(f"`{text} <{up}{FOLDER}/{text}.json>`__" for text in links) + ".", ""]
        lines += [".. list-table::", "   :header-rows: 1", "   :widths: 10 40 40 10", ""]
        for row in (("Method", "Path", "Meaning", "Since"), *rows()):
            lines += [f"   {'*' if n == 0 else ' '} - {cell}" for n, cell in enumerate(row)]
        parent = nodes.section()
        parent.document = self.state.document
        self.state.nested_parse(StringList(lines, "openapi"), self.content_offset, parent)
        return parent.children


def write(app: Any, error: Exception | None) -> None:
    """Write the documents beside the pages."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(exist_ok=True)
    for version in versions():
        document = openapi.document(RESOURCES, version, "")
        path = folder / f"{microversions.text(version)}.json"
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register the directive and what is written at the end."""
    app.add_directive("cyborg-openapi", OpenApi)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
