"""The heap of this process, as the policy `auto` acts on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gcctl._auto.full_collections import Full
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

NOT_WAITING: Final = -1

PATIENCE: Final = 2
"""Times that memory may be found over its limit while a concurrent collection runs for that; then
the world is stopped."""


class Stopped(NamedTuple):
    """A full collection that stopped the world because that is what was asked for."""

    outcome: str
    measured: ConcurrentRun


class ProcessHeap:
    """Collections through the core, and full ones of tenured objects too."""

    def __init__(
        self,
        core: Core,
        *,
        stop: bool,
        patient: bool,
        before_freeze: Callable[[], None],
        after_freeze: Callable[[], None],
        on_relief: Callable[[], None],
    ) -> None:
        """`stop`: full collections are never to be concurrent. `patient`: looks may be further
        apart than they are by themselves. The others are called around each call of `gc.freeze()`,
        and when a concurrent collection for memory pressure runs."""
        self.concurrent = not stop and not coordinator.missing
        self.tenured = Tenure(core.freeze, can_be_kept=self.concurrent)
        self.boundaries = core.boundaries
        self.now = core.now
        self.tallies = core.tallies
        self.allocated = core.allocated
        self.in_flight = core.in_flight
        self._core = core
        self._stop = stop
        self._patient = patient
        self._before_freeze = before_freeze
        self._after_freeze = after_freeze
        self._asked = 0
        self._on_relief = on_relief
        self._stopped = 0  # full collections that stopped the world, and went through everything
        self._thawed = False  # for a collection that somebody has asked for
        # Where what is tenured is kept, and the last full collection had to stop the world, its
        # garbage was not found: no more is tenured until more than so many were concurrent.
        self._tenures_after = NOT_WAITING
        self._relief: ConcurrentCollection | None = None

    def collect(self, generation: int) -> int:
        if COLLECTOR == "free-threaded":  # each of them would be a full one
            return 0
        return self._core.collect(generation, SCHEDULED)

    def check_after(self, intervals: int) -> None:
        if self._patient or not intervals:
            self._core.check_after(intervals)

    @property
    def kept(self) -> bool:
        return self.tenured.kept

    def tenure(self) -> bool:
        self._thawed = False
        if self._tenures_after != NOT_WAITING:
            if coordinator.collected <= self._tenures_after:
                return False
            self._tenures_after = NOT_WAITING
        self._before_freeze()
        try:
            return self.tenured.keep()
        finally:
            self._after_freeze()

    def thaw(self) -> None:
        """For a full collection of somebody else, that begins now."""
        self._thawed = self.tenured.returnable
        self.tenured.give_back()

    def repair(self) -> None:
        """Tenure again what was thawed, where the end of that collection went unseen."""
        if self._thawed and not self._core.collecting():
            self.tenure()

    def fulls(self) -> int:
        return coordinator.collected + self._stopped

    def full_runs(self) -> bool:
        return coordinator.running is not None

    def after_fork(self) -> None:
        self._relief = None
        self._tenures_after = NOT_WAITING

    def turn_comes(self, waited_ns: int) -> bool:
        return turn.comes(waited_ns)

    def prepare_full(self) -> None:
        if not self._stop:
            coordinator.prepare()

    def begin_full(self) -> Full:
        if not self._stop:
            return coordinator.start(SCHEDULED)
        try:
            collected = self.stop_the_world(SCHEDULED)
        finally:
            turn.over()
        outcome = "void: another collection was running" if collected < 0 else "collected"
        return Stopped(outcome, ConcurrentRun(objects_collected=max(collected, 0)))

    def stop(self) -> int:
        return self.stop_the_world(SCHEDULED)

    def stop_the_world(self, reason: int) -> int:
        """A full collection that goes through tenured objects too, unless they are kept."""
        thawed = self.tenured.returnable
        self.tenured.give_back()
        if self.tenured.kept:
            self._tenures_after = coordinator.collected
        try:
            collected = self._core.collect(FULL, reason)
            self._stopped += collected >= 0 and not self.tenured.kept
            return collected
        finally:
            if thawed:
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
        if relief is not None and relief.outcome is None:
            self._asked += 1
            if self._asked > PATIENCE:
                return self.stop_the_world(PRESSURE)
            coordinator.sweep_step()
        if relief is None or (relief.outcome or "").startswith("void"):
            self._asked = 0
            relief = coordinator.start(PRESSURE)
        if relief.outcome is None:
            self._on_relief()
            self._relief = relief
            return DID_NOT_RUN
        if relief.outcome.startswith("void"):
            return DID_NOT_RUN
        return relief.measured.objects_collected
