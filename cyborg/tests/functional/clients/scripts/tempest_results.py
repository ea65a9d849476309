"""What a run of tempest has come to, from the stream that it leaves behind."""

from __future__ import annotations

import io
import subprocess
from typing import Any

import subunit
import testtools


def last(stestr: str) -> dict[str, dict[str, str]]:
    """Return by test its ``status``, and why it is not a success.

    What a class as a whole has come to is there as ``setUpClass (CLASS)``.

    :param stestr: the program; the run is that of the current folder.
    """
    stream = subprocess.run([stestr, "last", "--subunit"], capture_output=True, check=False)
    results: dict[str, dict[str, str]] = {}

    def note(test: dict[str, Any]) -> None:
        name = test["id"].partition("[")[0]
        reasons = [
            test["details"][kind] for kind in ("reason", "traceback") if kind in test["details"]
        ]
        why = "\n".join(reason.as_text() for reason in reasons)
        results[name] = {"status": test["status"], "why": why}

    collector = testtools.StreamToDict(note)
    collector.startTestRun()
    subunit.ByteStreamToStreamResult(io.BytesIO(stream.stdout)).run(collector)
    collector.stopTestRun()
    return results
