"""Run as ``python call.py SCRIPT FUNCTION JSON``: call a function of another script.

The last line printed is JSON: the function's ``result``, and what the script has noted in USED.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType


def loaded(path: Path) -> ModuleType:
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem + "_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(script: str, function: str, values: str) -> None:
    """Call it, and print its answer."""
    module = loaded(Path(__file__).parent / script)
    result = getattr(module, function)(**json.loads(values))
    print(json.dumps({"result": result, "used": sorted(getattr(module, "USED", ()))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
