"""When the policy `auto` collects the whole heap, tenured objects too, and what it makes of it."""

from __future__ import annotations

from typing import Final, Protocol

from gcctl._auto.debt import WORTH_WHILE
from gcctl._auto.safety_net import BYTES_PER_OBJECT, LEAST_GROWTH_BYTES
from gcctl._base.units import duration, size
from gcctl._core.records import Tally

ROUTINE_NS: Final = 60 * 10**9
"""Shortest time between two for which memory gives no reason."""

EVIDENCE: Final = 5
"""So many times the GC budget may go into them while memory grows."""

GROWTH: Final = 0.20
MOST_GROWTH: Final = 0.40
"""Share by which the number of objects has to grow since the last one, or by half of it the
resident set. CPython's own is 25 % of the objects."""

OUTGROWN: Final = 2
"""So many times as much memory as when it began is too much while one runs."""

MOST_BACK_OFF: Final = 3

QUIET_NS: Final = 2 * 10**9
"""How long one waits for a moment without requests in flight."""

NS_PER_BYTE: Final = 2.0
"""What one is taken to cost as long as none was measured, per byte of the resident set; more than
it does."""


class Run(Protocol):
    """What a full collection took, and found."""

    @property
    def start_pause_ns(self) -> int: ...
    @property
    def sweep_total_ns(self) -> int: ...
    @property
    def child_cpu_ns(self) -> int: ...
    @property
    def tracked_objects(self) -> int: ...
    @property
    def objects_collected(self) -> int: ...


class Full(Protocol):
    """A full collection that was begun."""

    @property
    def outcome(self) -> str | None:
        """None while it runs."""

    @property
    def measured(self) -> Run: ...


class WholeHeap(Protocol):
    """What full collections need of the heap."""

    def now(self) -> int: ...

    def tallies(self) -> tuple[Tally, ...]: ...

    def allocated(self) -> int: ...

    def in_flight(self) -> int: ...

    def fulls(self) -> int:
        """Collections that went through everything, whoever began them, but for those that only
        the callbacks of automatic GC tell of."""

    def full_runs(self) -> bool:
        """Does a concurrent full collection run, whoever began it?"""

    def turn_comes(self, waited_ns: int) -> bool:
        """Is it this process's turn for one that has been due for so long? Others then wait until
        it has ended."""

    def prepare_full(self) -> None:
        """One is to begin at the next look, most likely."""

    def begin_full(self) -> Full: ...

    def stop(self) -> int:
        """A full collection that stops the world, whatever runs; returns as `collect`."""


class FullCollections:
    """The evidence for the next one, and the one that runs."""

    def __init__(self, heap: WholeHeap, budget: float, rss: int) -> None:
        """`budget`: share of elapsed time. `rss`: of the process, in bytes."""
        self._heap = heap
        self._budget = budget
        self._full: Full | None = None
        self._ended_at_ns = heap.now()  # the last one
        self._cost_ns = 0  # of the last one; 0: none was measured yet
        self._guess_ns = int(rss * NS_PER_BYTE)  # of what one costs, while none was measured
        self._rss = self._rss_left = rss
        self._objects_left = rss // BYTES_PER_OBJECT  # by the last one; at first a guess
        self._net_left = self._net_objects()
        self._quiet_by_ns = 0  # when one that waits no longer does for a quiet moment; 0: none does
        self._promoted = True  # anything since the last one, as far as is known
        self._rss_begun = rss  # when the one that runs was begun
        self._was_void = False  # the last one
        self._fulls_seen = heap.fulls()
        self._stopped_ns = 0  # the pause of one that stopped the world
        self.growth_wanted = GROWTH
        """Share by which the number of objects, or by half of it the resident set, has to grow."""
        self.by_growth = True
        """Whether it is a reason: it may be none of what one would go through to some purpose."""
        self.back_off = 0
        """How many in a row found next to nothing."""
        self.begun = 0
        self.found = 0
        """Objects that were dead in the last one; for the policy to take note of, and clear."""
        self.stopped_world = False
        """Whether the last one did."""

    @property
    def predicted_ns(self) -> int:
        """What one would cost, pauses and CPU time of a child together."""
        return self._cost_ns or self._guess_ns

    @property
    def grown_bytes(self) -> int:
        return self._rss - self._rss_left

    @property
    def grown_objects(self) -> int:
        return self._net_objects() - self._net_left

    def note_rss(self, rss: int) -> None:
        self._rss = rss
        self._rss_left = min(self._rss_left, rss)

    def note_tenured(self) -> None:
        """There is something that only a full collection goes through."""
        self._promoted = True

    def note_other(self) -> None:
        """Somebody else's went through everything."""
        self._ended_at_ns = self._heap.now()
        self._rss_left = self._rss
        self._net_left = self._net_objects()

    def run(self) -> bool:
        """Is one running? One of ours that has ended says how it was."""
        full = self._full
        if full is not None and full.outcome is not None:
            self._full = None
            self._take_in(full, full.outcome)
            self._fulls_seen = self._heap.fulls()
        elif full is None and self._fulls_seen != self._heap.fulls():
            self._fulls_seen = self._heap.fulls()
            self.note_other()
        return self._full is not None or self._heap.full_runs()

    def is_outgrown(self) -> bool:
        """Has memory grown so much since ours was begun that it is not to be waited for?"""
        return self.is_running and self._rss > OUTGROWN * self._rss_begun

    def growth(self) -> str:
        """What has grown enough, in words; or ""."""
        if self.grown_bytes >= max(self._rss_left * self.growth_wanted / 2, LEAST_GROWTH_BYTES):
            return f"the resident set grew {size(self.grown_bytes)}"
        objects = self.grown_objects
        least = LEAST_GROWTH_BYTES // BYTES_PER_OBJECT
        if objects >= max(self._objects_left * self.growth_wanted, least):
            return f"there are up to {objects:,} more objects"
        return ""

    def wanted(self) -> str:
        """Why one is, in words; or ""."""
        cost = self.predicted_ns
        elapsed = self._heap.now() - self._ended_at_ns
        affordable = elapsed * self._budget
        patience = 1 << self.back_off
        growth = self.growth() if self.by_growth else ""
        # Memory is bounded before time is. But where the last came to nothing, so may the next.
        fast = not self._was_void and self.grown_bytes >= max(
            self._rss_left * self.growth_wanted, LEAST_GROWTH_BYTES
        )
        if growth and (fast or cost <= affordable * EVIDENCE / patience):
            return f"{growth} since the last, {duration(elapsed)} ago"
        routine = elapsed >= ROUTINE_NS * patience and cost * patience <= affordable / 2
        promoted = self._promoted or not self.by_growth
        return f"none was made for {duration(elapsed)}" if promoted and routine else ""

    @property
    def is_running(self) -> bool:
        """Is one of ours, as far as was seen?"""
        return self._full is not None

    @property
    def waits(self) -> bool:
        """Was one found to be wanted, which has not begun?"""
        return self._quiet_by_ns != 0

    def is_wanted(self) -> bool:
        """Is one? Then it waits from now on."""
        if not self.wanted():
            self._quiet_by_ns = 0
        elif not self._quiet_by_ns:
            self._quiet_by_ns = self._heap.now() + QUIET_NS
        if self.waits:
            self._heap.prepare_full()
        return self.waits

    def due(self) -> str:
        """Why the one that waits is to begin now; "": it is not."""
        why = self.wanted() if self.waits else ""
        now = self._heap.now()
        if not why or (now < self._quiet_by_ns and self._heap.in_flight()):
            return ""
        return why if self._heap.turn_comes(now - self._quiet_by_ns + QUIET_NS) else ""

    def begin(self) -> bool:
        """False where another collection prevents it."""
        before = _pause_ns(self._heap)
        full = self._heap.begin_full()
        self._stopped_ns = _pause_ns(self._heap) - before
        if full.outcome is not None and full.outcome.startswith("void") and not self._cost_of(full):
            return False
        self._quiet_by_ns = 0
        self._promoted = False
        self._rss_begun = self._rss
        self.begun += 1
        self._full = full
        self.run()
        return True

    def _take_in(self, full: Full, outcome: str) -> None:
        run, cost = full.measured, self._cost_of(full)
        self._ended_at_ns = self._heap.now()
        self._was_void = outcome.startswith("void")
        self.found = run.objects_collected
        if self._was_void:
            self._promoted = True
            self._cost_ns = max(cost, self._cost_ns)
            return
        self._cost_ns = cost
        tracked = run.tracked_objects or self._rss // BYTES_PER_OBJECT
        self._rss_left = self._rss
        self._objects_left = tracked - run.objects_collected
        self._net_left = self._net_objects()
        self.stopped_world = self._stopped_ns > 0
        if self.found > tracked * WORTH_WHILE:
            self.growth_wanted, self.back_off = GROWTH, 0
        else:
            self.growth_wanted = min(self.growth_wanted * 2, MOST_GROWTH)
            self.back_off = min(self.back_off + 1, MOST_BACK_OFF)

    def _cost_of(self, full: Full) -> int:
        run = full.measured
        return self._stopped_ns + run.start_pause_ns + run.sweep_total_ns + run.child_cpu_ns

    def _net_objects(self) -> int:
        """All that were made less all that were collected, or freed before they were."""
        collected = sum(tally.collected for tally in self._heap.tallies())
        return self._heap.allocated() - collected


def _pause_ns(heap: WholeHeap) -> int:
    return heap.tallies()[-1].pause_total_ns
