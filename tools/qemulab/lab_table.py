"""Print which check has passed on which kernel: ``lab_table.py DIRECTORY``.

The directory has one for each kernel, with the ``results.xml`` that pytest has left there. The
exit status is 1 if anything has failed or was not run.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

_BAD = ("failure", "error")
_NUMBERED = re.compile(r"^test_\d+_")


def outcomes(path: Path) -> dict[str, str]:
    """Return what came of each check of a run."""
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - of our own making
        module = case.get("classname", "").rpartition(".")[2]
        name = case.get("name", "").removeprefix("test_").replace("_", " ")
        children = {child.tag for child in case}
        outcome = "FAILED" if children & set(_BAD) else "passed"
        if "skipped" in children:
            outcome = "skipped"
        for value in case.iter("property"):
            outcome += f" ({value.get('value')} {value.get('name')})"
        key = f"{_NUMBERED.sub('', module).replace('_', ' ')}: {name}"
        # One that fails at its end is two: the worse counts.
        if not found.get(key, "").startswith("FAILED"):
            found[key] = outcome
    return found


def main() -> int:
    """Print the table."""
    directory = Path(sys.argv[1])
    kernels = sorted(
        (path.name for path in directory.iterdir()),
        key=lambda name: [int(part) for part in name.split(".")],
    )
    runs = {kernel: outcomes(directory / kernel / "results.xml") for kernel in kernels}
    checks = list(dict.fromkeys(check for run in runs.values() for check in run))
    width = max([len(check) for check in checks] + [5])
    lines = [("check", *kernels)]
    lines += [
        (check, *(runs[kernel].get(check, "not run") for kernel in kernels)) for check in checks
    ]
    print()
    for check, *each in lines:
        print(f"{check:{width}}  " + "  ".join(f"{outcome:17}" for outcome in each).rstrip())
    counts = [
        sum(outcome.startswith("passed") for outcome in run.values()) for run in runs.values()
    ]
    print(f"{'passed':{width}}  " + "  ".join(f"{count:<17}" for count in counts).rstrip())
    return 0 if checks and all(count == len(checks) for count in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
