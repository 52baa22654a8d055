"""A cycle profile of a whole program: concurrent collections see most of its cyclic garbage.

Automatic GC would free most of it unseen, so it is held off meanwhile, and a thread collects
concurrently instead. What is young when a slice is swept goes unseen still.
"""

from __future__ import annotations

import _thread
import gc

from gcctl._concurrent.coordinator import Coordinator
from gcctl._concurrent.cycle_profile import CycleProfile
from gcctl._core.records import REASONS
from gcctl._interpreter.automatic_gc import automatic_gc

REQUESTED = REASONS.index("requested")

CHECK_SECONDS = 0.02
MOST_SECONDS = 1.0
"""Longest time between two collections."""

YOUNG_OBJECTS = 50_000
"""So many new objects, less those freed, bring the next collection forward."""

STOP_SECONDS = 5.0
"""How long the end waits for a collection that runs."""


class CycleProfiler:
    """From `start` to `stop`, in a thread of its own."""

    def __init__(self, concurrent: Coordinator) -> None:
        self._concurrent = concurrent
        self._stop = _thread.allocate_lock()
        self._done = _thread.allocate_lock()

    def start(self) -> None:
        """Where concurrent collections cannot be, nothing is done, and `why_not` says so."""
        if self.why_not:
            return
        automatic_gc.hold(self)
        self._stop.acquire()
        self._done.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # no more threads: the end alone is profiled
            self._done.release()
            automatic_gc.release(self)

    @property
    def why_not(self) -> str:
        return self._concurrent.missing

    def stop(self) -> CycleProfile:
        """Once. What is garbage by now is in the profile too."""
        if not self.why_not:
            self._stop.release()
            if self._done.acquire(timeout=STOP_SECONDS):
                self._collect()
            automatic_gc.release(self)
        return self._concurrent.cycles.profile()

    def _run(self) -> None:
        waited = 0.0
        try:
            while not self._stop.acquire(timeout=CHECK_SECONDS):
                waited += CHECK_SECONDS
                if waited >= MOST_SECONDS or gc.get_count()[0] >= YOUNG_OBJECTS:
                    waited = 0.0
                    self._collect()
        except BaseException:
            automatic_gc.release(self)
            raise
        finally:
            self._done.release()

    def _collect(self) -> None:
        # Stopping the world would free it unseen.
        self._concurrent.start(REQUESTED, anyway=True).finish()
