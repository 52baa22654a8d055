"""The heap of this process: how the policy `auto` collects it, tenures it and measures it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gcctl._auto.full_collections import FullCollection
from gcctl._concurrent.collection import ConcurrentCollection, ConcurrentRun
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import turn
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.tenure import Tenure

FULL: Final = 2
SCHEDULED: Final = REASONS.index("scheduled")
PRESSURE: Final = REASONS.index("pressure")
DID_NOT_RUN: Final = -1

MOST_WAITS: Final = 2
"""Memory may be found over its limit so many times while a concurrent collection runs because of
that. Then the world is stopped."""


class Stopped(NamedTuple):
    """A full collection that stopped the world because the configuration says so."""

    outcome: str
    measured: ConcurrentRun


class ProcessHeap:
    """Collects through the core. Full collections go through tenured objects too."""

    def __init__(
        self,
        core: Core,
        *,
        stop: bool,
        space_checks: bool,
        may_tenure: Callable[[], bool],
        on_pressure_collection: Callable[[], None],
    ) -> None:
        """`stop`: full collections are never to be concurrent. `space_checks`: checks may be
        further apart than `check_interval`. `may_tenure()`: whether somebody could see to tenured
        objects. `on_pressure_collection` is called when a concurrent collection for memory pressure
        has begun."""
        self.concurrent = not stop and not coordinator.missing
        self.tenured = Tenure(core)
        self.boundaries = core.boundaries
        self.now = core.now
        self.tallies = core.tallies
        self.allocated = core.allocated
        self.in_flight = core.in_flight
        self._core = core
        self._stop = stop
        self._space_checks = space_checks
        self._may_tenure = may_tenure
        self._waits = 0  # for the collection that runs because of memory pressure
        self._on_pressure_collection = on_pressure_collection
        self._stopped = 0  # full collections that stopped the world and went through everything
        self._has_tenured = False  # and not given up since
        self._thawed = False  # for an explicit collection
        self._for_pressure: ConcurrentCollection | None = None

    def collect(self, generation: int) -> int:
        if COLLECTOR == "free-threaded":  # each collection would be a full one
            return 0
        return self._core.collect(generation, SCHEDULED)

    def check_after(self, intervals: int) -> None:
        """0: the next boundary has a check, whatever the configuration says."""
        if self._space_checks or not intervals:
            self._core.check_after(intervals)

    def tenure(self) -> bool:
        """Returns False where nothing could be tenured."""
        if not (self._thawed or self._may_tenure()):
            return False
        self._thawed = False
        self._has_tenured = self.tenured.keep()
        return self._has_tenured

    def thaw(self) -> None:
        """An explicit full collection begins now: it is to go through tenured objects."""
        self._thawed = self.tenured.give_back()

    def give_up(self) -> None:
        """Nobody could see to tenured objects: leave them to automatic GC."""
        self._has_tenured = False
        self.tenured.give_back()

    @property
    def lost(self) -> bool:
        """Whether objects that were tenured are no longer: somebody else has thawed them, or has
        frozen on top of them, or the end of an explicit collection was not seen."""
        return self._has_tenured and not self.tenured.there and not self._core.collecting()

    def full_collections(self) -> int:
        """The number of collections up to now that went through everything."""
        return coordinator.collected + self._stopped

    def full_runs(self) -> bool:
        return coordinator.running is not None

    def after_fork(self) -> None:
        self._for_pressure = None

    def turn_comes(self, waited_ns: int) -> bool:
        return turn.comes(waited_ns)

    def prepare_full(self) -> None:
        if not self._stop:
            coordinator.prepare()

    def begin_full(self) -> FullCollection:
        if not self._stop:
            return coordinator.start(SCHEDULED)
        try:
            collected = self.stop_the_world(SCHEDULED)
        finally:
            turn.over()
        outcome = "void: another collection was running" if collected < 0 else "collected"
        return Stopped(outcome, ConcurrentRun(objects_collected=max(collected, 0)))

    def collect_everything(self) -> int:
        return self.stop_the_world(SCHEDULED)

    def stop_the_world(self, reason: int) -> int:
        """Run a full collection. It goes through tenured objects too."""
        thawed = self.tenured.give_back()
        try:
            collected = self._core.collect(FULL, reason)
            self._stopped += collected >= 0
            return collected
        finally:
            if thawed:
                self.tenure()

    def collect_for_pressure(self, generation: int) -> int:
        """Collect because memory is over its limit. Returns the unreachable objects found.

        A concurrent full collection is only begun here: until it has ended, the answer is that no
        collection has run.
        """
        if generation < FULL:
            return self._core.collect(generation, PRESSURE)
        if self._stop:
            return self.stop_the_world(PRESSURE)
        begun, self._for_pressure = self._for_pressure, None
        if begun is not None and begun.outcome is None:
            self._waits += 1
            if self._waits > MOST_WAITS:
                return self.stop_the_world(PRESSURE)
            coordinator.sweep_step()
        if begun is None or (begun.outcome or "").startswith("void"):
            self._waits = 0
            begun = coordinator.start(PRESSURE)
        if begun.outcome is None:
            self._on_pressure_collection()
            self._for_pressure = begun
            return DID_NOT_RUN
        if begun.outcome.startswith("void"):
            return DID_NOT_RUN
        return begun.measured.objects_collected
