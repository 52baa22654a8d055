"""A cycle profile of a whole program: concurrent collections see most of its cyclic garbage.

Automatic GC would free most of the garbage before a concurrent collection sees it. So automatic GC
is held off meanwhile, and a thread collects concurrently instead. Garbage that is young when a
slice is swept is still not seen.
"""

from __future__ import annotations

import _thread
import gc

from gcctl._base.late import before_a_thread
from gcctl._concurrent.coordinator import Coordinator
from gcctl._concurrent.cycle_profile import CycleProfile
from gcctl._core.records import REASONS
from gcctl._interpreter.automatic_gc import automatic_gc

REQUESTED = REASONS.index("requested")

CHECK_SECONDS = 0.02
MOST_SECONDS = 1.0
"""Longest time between two collections."""

YOUNG_OBJECTS = 50_000
"""The next collection comes early when so many objects are new, not counting freed ones."""

STOP_SECONDS = 5.0
"""How long `stop()` waits for a collection that runs."""


class CycleProfiler:
    """Collects in a thread of its own, from `start` to `stop`."""

    def __init__(self, concurrent: Coordinator) -> None:
        self._concurrent = concurrent
        self._stop = _thread.allocate_lock()
        self._done = _thread.allocate_lock()

    def start(self) -> None:
        """Does nothing where concurrent collections are not possible. `why_not` says why."""
        if self.why_not:
            return
        before_a_thread()
        automatic_gc.hold(self)
        self._stop.acquire()
        self._done.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # no more threads: only the collection at the end is profiled
            self._done.release()
            automatic_gc.release(self)

    @property
    def why_not(self) -> str:
        """Why this process has no concurrent collections; "": it has."""
        missing = self._concurrent.missing
        return f"no concurrent collections: {missing}" if missing else ""

    def stop(self) -> CycleProfile:
        """Stop, and return the profile. What is garbage by now is in it too. To be called once."""
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
        # A collection that stops the world would free the garbage unseen.
        self._concurrent.start(REQUESTED, anyway=True).finish()
