"""The heap of this process, as the policy `auto` acts on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gcctl._protocol import REASONS, Core
from gcctl.auto import Full
from gcctl.collectors import COLLECTOR
from gcctl.concurrent import concurrent
from gcctl.concurrent_run import ConcurrentCollection, ConcurrentRun
from gcctl.tenure import Tenure

FULL: Final = 2
SCHEDULED: Final = REASONS.index("scheduled")
PRESSURE: Final = REASONS.index("pressure")
DID_NOT_RUN: Final = -1


class Stopped(NamedTuple):
    """A full collection that stopped the world because that is what was asked for."""

    outcome: str
    measured: ConcurrentRun


class ProcessHeap:
    """Collections through the core, and full ones of tenured objects too."""

    def __init__(self, core: Core, *, stop: bool, on_freeze: Callable[[], None]) -> None:
        """`stop`: full collections are never to be concurrent. `on_freeze` is told of each call of
        `gc.freeze()`."""
        self.tenured = Tenure()
        self.now = core.now
        self.tallies = core.tallies
        self.allocated = core.allocated
        self.in_flight = core.in_flight
        self._core = core
        self._stop = stop
        self._on_freeze = on_freeze
        self._relief: ConcurrentCollection | None = None

    def collect(self, generation: int) -> int:
        if COLLECTOR == "free-threaded":  # each of them would be a full one
            return DID_NOT_RUN
        return self._core.collect(generation, SCHEDULED)

    def tenure(self) -> bool:
        kept = self.tenured.keep()
        if kept:
            self._on_freeze()
        return kept

    def begin_full(self) -> Full:
        if not self._stop:
            return concurrent.start(SCHEDULED)
        collected = self.stop_the_world(SCHEDULED)
        outcome = "void: another collection was running" if collected < 0 else "collected"
        return Stopped(outcome, ConcurrentRun(objects_collected=max(collected, 0)))

    def stop_the_world(self, reason: int) -> int:
        """A full collection that goes through tenured objects too."""
        tenured = self.tenured.ours
        self.tenured.give_back()
        try:
            return self._core.collect(FULL, reason)
        finally:
            if tenured:
                self.tenure()

    def relieve(self, generation: int) -> int:
        """Collect because memory is over its limit.

        A full collection that is concurrent is begun, and counts as not run until it is over.
        """
        if generation < FULL:
            return self._core.collect(generation, PRESSURE)
        if self._stop:
            return self.stop_the_world(PRESSURE)
        relief, self._relief = self._relief, None
        if relief is None:
            relief = concurrent.start(PRESSURE)
        if relief.outcome is None:
            self._relief = relief
            return DID_NOT_RUN
        return relief.measured.objects_collected
