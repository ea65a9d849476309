"""One line a check, and what is kept when one fails."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: How many checks each flow must have.
NUMBERS = Path(__file__).with_name("checks.txt")

#: What comes before all flows, and counts as one.
START = "start"


class FlowEnded(Exception):
    """A check failed without which the rest of the flow means nothing."""


@dataclass
class Outcome:
    """What a flow came to."""

    name: str
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0


def read_numbers(path: Path) -> dict[str, int]:
    """Return how many checks each flow has, of a file with a line for each.

    That no check is lost is seen where a line of the file has to be changed.
    """
    lines = (line.split() for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name: int(number) for name, number in lines}


@dataclass
class Report:
    """Prints the checks as they come, and counts them."""

    #: Called with a failure's name and trace; returns where its details are kept.
    keep: Callable[[str, str], str]
    #: How many checks each flow has to have.
    numbers: Mapping[str, int]
    outcomes: list[Outcome] = field(default_factory=list)

    @contextmanager
    def flow(self, name: str) -> Iterator[Outcome]:
        """Count the checks in the block as those of a flow."""
        outcome = Outcome(name)
        self.outcomes.append(outcome)
        began = time.monotonic()
        try:
            yield outcome
        finally:
            outcome.seconds = time.monotonic() - began

    @contextmanager
    def to_its_end(self) -> Iterator[None]:
        """Let the block break off; a reason that is not a failed check is a failure."""
        try:
            yield
        except FlowEnded:
            pass
        except Exception as error:  # the other flows are of interest all the same
            self._failed("breaks off", error)

    @contextmanager
    def check(self, what: str, *, needed: bool = False) -> Iterator[None]:
        """Print PASS if the block ends well, FAIL with the reason if it raises.

        :param needed: a failure ends the flow.
        """
        try:
            yield
        except Exception as error:  # any is a failed check
            self._failed(what, error)
            if needed:
                raise FlowEnded from error
        else:
            self.outcomes[-1].passed += 1
            print(f"PASS {self.outcomes[-1].name}: {what}", flush=True)

    def summary(self) -> bool:
        """Print what came of all flows; return whether all is well.

        Every check must have passed, and each flow must have as many as it has to.
        """
        print()
        for outcome in self.outcomes:
            verdict = "FAIL" if outcome.failed else "ok"
            print(
                f"{outcome.name:<20} {verdict:<5} {outcome.passed:>3} passed"
                f" {outcome.failed:>3} failed {outcome.seconds:>7.1f} s"
            )
        passed = sum(outcome.passed for outcome in self.outcomes)
        failed = sum(outcome.failed for outcome in self.outcomes)
        seconds = sum(outcome.seconds for outcome in self.outcomes)
        print(
            f"{passed} checks of {len(self.outcomes)} flows passed, {failed} failed,"
            f" in {seconds:.0f} s",
            flush=True,
        )
        miscounted = [text for outcome in self.outcomes if (text := self._miscount(outcome))]
        for text in miscounted:
            print(f"FAIL {text}", flush=True)
        return passed > 0 and failed == 0 and not miscounted

    def _miscount(self, outcome: Outcome) -> str | None:
        """Return what is wrong with the number of a flow's checks; none tells if one failed."""
        wanted = self.numbers.get(outcome.name)
        if outcome.failed or outcome.passed == wanted:
            return None
        return (
            f"{outcome.name} has {outcome.passed} checks instead of {wanted or 'none'}: none may"
            " be lost; where some were added, raise the number in tools/nova/checks.txt"
        )

    def _failed(self, what: str, error: Exception) -> None:
        outcome = self.outcomes[-1]
        outcome.failed += 1
        reason = " ".join(f"{error}".split()) or type(error).__name__
        if not isinstance(error, AssertionError):
            reason = f"{type(error).__name__}: {reason}"
        print(f"FAIL {outcome.name}: {what}: {reason[:600]}", flush=True)
        slug = re.sub(r"[^a-z0-9]+", "-", f"{outcome.name} {what}".lower()).strip("-")[:80]
        print(f"     logs: {self.keep(slug, _trace(error))}", flush=True)


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
