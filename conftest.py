from __future__ import annotations

import pytest

pytest_plugins = ["cyborg.tests.servers.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-samples",
        action="store_true",
        help="write the API reference's samples, which are else compared",
    )
