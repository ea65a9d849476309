"""Looking in the background for what must never be."""

from __future__ import annotations

import threading
from collections.abc import Callable

from waiting import expect

_PAUSE = 0.05


class Watch:
    """Looks again and again during a block; each look returns what is wrong, if anything is."""

    def __init__(self, look: Callable[[], str | None]) -> None:
        self._look = look
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.looks = 0
        self.wrong: list[str] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        self._thread.join()

    def expect_nothing_wrong(self) -> None:
        """Fail if anything wrong was ever seen, or if hardly anybody looked."""
        expect(not self.wrong, f"wrong in {len(self.wrong)} looks: {self.wrong[:3]}")
        expect(self.looks > 5, f"only {self.looks} looks")

    def _run(self) -> None:
        while not self._ended.wait(_PAUSE):
            try:
                wrong = self._look()
            except Exception as error:  # to be told by the check, not by a thread
                self.wrong.append(f"cannot look: {error}")
                continue
            self.looks += 1
            if wrong:
                self.wrong.append(wrong)
