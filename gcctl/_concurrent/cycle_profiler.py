"""A cycle profile of a whole program: concurrent collections see most of its cyclic garbage.

Automatic GC would free most of the garbage before a concurrent collection sees it. So automatic GC
is held off meanwhile, and the main thread collects concurrently instead, when it is asked. Where it
does not answer, automatic GC is on again until it does. Garbage that is young when a slice is swept
is still not seen.
"""

from __future__ import annotations

import gc
from typing import Final

from gcctl._base.log import log_fault
from gcctl._concurrent.collection import ConcurrentCollection
from gcctl._concurrent.coordinator import Coordinator
from gcctl._concurrent.cycle_profile import CycleProfile
from gcctl._core.records import REASONS
from gcctl._interpreter.asking import NEVER, Alarm, asks
from gcctl._interpreter.automatic_gc import automatic_gc

REQUESTED: Final = REASONS.index("requested")

CHECK_NS: Final = 20_000_000
STEP_NS: Final = 2_000_000
"""The time to the next step of a collection that runs."""

MOST_NS: Final = 10**9
"""Longest time between two collections. Automatic GC is on again when the main thread does not
answer for so long."""

YOUNG_OBJECTS: Final = 50_000
"""The next collection comes early when so many objects are new, not counting freed ones."""


class CycleProfiler:
    """Collects in the main thread, from `start` to `stop`."""

    def __init__(self, concurrent: Coordinator) -> None:
        self._concurrent = concurrent
        self._alarm = Alarm("PROFILE", self._answer, self._give_up)
        self._collection: ConcurrentCollection | None = None
        self._next_ns = 0
        self._runs = False

    def start(self) -> None:
        """Does nothing where concurrent collections are not possible. `why_not` says why."""
        if self.why_not or not asks():  # else only the collection at the end is profiled
            return
        automatic_gc.hold(self)
        self._runs = True
        self._ask(CHECK_NS)

    @property
    def why_not(self) -> str:
        """Why this process has no concurrent collections; "": it has."""
        missing = self._concurrent.missing
        return f"no concurrent collections: {missing}" if missing else ""

    def stop(self) -> CycleProfile:
        """Stop, and return the profile. What is garbage by now is in it too. To be called once."""
        self._runs = False
        self._alarm.end()
        if not self.why_not:
            # A collection that stops the world would free the garbage unseen.
            self._concurrent.start(REQUESTED, anyway=True).finish()
        automatic_gc.release(self)
        return self._concurrent.cycles.profile()

    def _ask(self, after_ns: int) -> None:
        now = self._concurrent.core.now()
        enable_at = now + MOST_NS if automatic_gc.enabled else NEVER
        self._alarm.set(now + after_ns, enable_at)

    def _answer(self, waited_ns: int) -> None:
        """One step of a collection, or the start of the next."""
        if not self._runs:
            return
        if gc.isenabled():  # because nobody answered
            automatic_gc.hold(self)
            automatic_gc.release(self)
        collection, now = self._collection, self._concurrent.core.now()
        if collection is not None and collection.outcome is None:
            collection._step()
        elif now >= self._next_ns or gc.get_count()[0] >= YOUNG_OBJECTS:
            self._next_ns = now + MOST_NS
            self._collection = self._concurrent.start(REQUESTED, anyway=True)
        runs = self._concurrent.running is not None
        self._ask(STEP_NS if runs else CHECK_NS)

    def _give_up(self) -> None:
        """In an `except` clause: something went wrong in it."""
        log_fault()
        self._runs = False
        automatic_gc.release(self)
