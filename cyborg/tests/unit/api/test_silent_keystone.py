"""What is answered where Keystone says nothing to the middleware that asks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import webob
from keystoneauth1 import exceptions

from cyborg.api.errors import Faults


@pytest.mark.parametrize(
    "error", [exceptions.ConnectTimeout("said nothing"), exceptions.ConnectFailure("is away")]
)
def test_it_is_503_and_to_be_tried_again(error: Exception) -> None:
    def application(_environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        raise error

    answer = webob.Request.blank("/v2/devices").get_response(Faults(application))
    assert (answer.status_int, "Retry-After" in answer.headers) == (503, True)
    assert "Keystone is away" in answer.text
