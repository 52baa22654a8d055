"""CPython's collector, as far as a core can see it, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class FakeGC:
    """Calls its callbacks around each collection, and runs none within another."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.pause_ns = 1000
        self.collected = 0
        """What each collection finds."""
        self.during: list[Callable[[], object]] = []
        """What the finalizers of the next collection do."""
        self.runs: list[int] = []
        """The generation of each collection that did run."""
        self.callbacks: list[Any] = []
        self.allocated = 0
        """Net, since the last collection."""
        self._running = False

    def clock(self) -> int:
        return self.time_ns

    def count(self) -> int:
        return self.allocated

    def collect(self, generation: int) -> int:
        if self._running:
            return 0
        self._running = True
        try:
            self._call_back("start", generation, 0)
            self.runs.append(generation)
            self.allocated = 0
            self.time_ns += self.pause_ns
            during, self.during = self.during, []
            for finalizer in during:
                finalizer()
            self._call_back("stop", generation, self.collected)
        finally:
            self._running = False
        return self.collected

    def _call_back(self, phase: str, generation: int, collected: int) -> None:
        info = {"generation": generation, "collected": collected, "uncollectable": 0}
        position = 0
        while position < len(self.callbacks):  # one that removes itself hides this from the next
            with suppress(Exception):  # CPython reports it and goes on
                self.callbacks[position](phase, info)
            position += 1
