"""When a full collection is due, when it begins, and what it came to.

A full collection goes through the whole heap, tenured objects too.

1. It is due when the number of objects has grown by 20 % since the last one, or the resident set by
   10 %, and its cost is within five times the GC budget.
2. If the resident set has grown by 20 %, the budget is not asked: memory is bounded before time is.
   The exception: the last one was void, and so may the next one be.
3. If nothing grows, it is due when its cost is within half of the GC budget, but not within a
   minute of the last one.
4. One that was due at a check begins at the next check, at a moment without requests in flight. It
   waits up to 2 s for that, and for its turn among the workers of a server.
5. If it finds less than 1 % of the objects dead, the next one wants twice the growth (up to 40 %)
   and twice the time (up to eight times).
"""

from __future__ import annotations

from typing import Final, Protocol

from gcctl._auto.safety_net import BYTES_PER_OBJECT, LEAST_GROWTH_BYTES
from gcctl._auto.skipping import WORTH_WHILE
from gcctl._base.units import duration, size
from gcctl._core.records import Tally

ROUTINE_NS: Final = 60 * 10**9
"""While nothing grows, the shortest time from one full collection to the next."""

EVIDENCE: Final = 5
"""While memory grows, full collections may take so many times the GC budget."""

GROWTH: Final = 0.20
MOST_GROWTH: Final = 0.40
"""The next full collection is due when the number of objects has grown by this share, or the
resident set by half of it. CPython's own comes at 25 % of the objects."""

OUTGROWN: Final = 2
"""While one runs, so many times the memory at its begin is too much."""

MOST_BACK_OFF: Final = 3

QUIET_NS: Final = 2 * 10**9
"""How long one that is due waits for a moment without requests in flight."""

NS_PER_BYTE: Final = 2.0
"""As long as no cost was measured, a collection of everything is taken to cost so much per byte of
the resident set. It costs less."""


class FullRun(Protocol):
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


class FullCollection(Protocol):
    """A full collection that was begun."""

    @property
    def outcome(self) -> str | None:
        """None while it runs."""

    @property
    def measured(self) -> FullRun: ...


class WholeHeap(Protocol):
    """What full collections need of the heap."""

    def now(self) -> int:
        """Nanoseconds."""

    def tallies(self) -> tuple[Tally, ...]:
        """The collections of each generation up to now, whoever ran them."""

    def allocated(self) -> int:
        """Objects allocated up to now, net."""

    def in_flight(self) -> int:
        """Requests that have not ended."""

    def full_collections(self) -> int:
        """The number of collections that went through everything, whoever began them. Those that
        only the callbacks of automatic GC tell of are not counted."""

    def full_runs(self) -> bool:
        """Whether a concurrent full collection runs, whoever began it."""

    def turn_comes(self, waited_ns: int) -> bool:
        """Whether it is this process's turn for a full collection that has been due for so long.
        If it is, other processes wait until that has ended."""

    def prepare_full(self) -> None:
        """A full collection most likely begins at the next check."""

    def begin_full(self) -> FullCollection: ...

    def collect_everything(self) -> int:
        """A full collection that stops the world, even if another one runs. Returns the number of
        unreachable objects found, -1 where another collection prevents it."""


class FullCollections:
    """The evidence for the next full collection, and the one that runs."""

    def __init__(self, heap: WholeHeap, budget: float, rss: int) -> None:
        """`budget`: share of elapsed time. `rss`: the resident set of the process in bytes."""
        self._heap = heap
        self._budget = budget
        self._full: FullCollection | None = None  # ours, until its outcome was seen
        self._ended_at_ns = heap.now()  # the last one
        self._cost_ns = 0  # of the last one; 0: none was measured yet
        self._guess_ns = int(rss * NS_PER_BYTE)  # the cost, as long as none was measured
        self._rss = self._rss_left = rss
        self._objects_left = rss // BYTES_PER_OBJECT  # by the last one; at first a guess
        self._net_left = self._net_objects()
        self._quiet_by_ns = 0  # when one that waits gives up on a quiet moment; 0: none waits
        self._promoted = True  # something was tenured since the last one, as far as is known
        self._rss_begun = rss  # when the one that runs was begun
        self._was_void = False  # the last one
        self._seen = heap.full_collections()
        self._stopped_ns = 0  # the pause of one that stopped the world
        self.growth_wanted = GROWTH
        """The growth of the number of objects that makes one due; half of it for the resident
        set."""
        self.by_growth = True
        """Whether growth is a reason at all. It is not where it says nothing about the objects that
        only a full collection goes through."""
        self.back_off = 0
        """How many in a row found next to nothing."""
        self.begun = 0
        self.found = 0
        """Dead objects that the last one found. The policy takes note of it and sets it to 0."""
        self.stopped_world = False
        """Whether the last one did."""

    @property
    def predicted_ns(self) -> int:
        """The expected cost: pauses and CPU time of the child together."""
        return self._cost_ns or self._guess_ns

    @property
    def grown_bytes(self) -> int:
        """Growth of the resident set since the last one."""
        return self._rss - self._rss_left

    @property
    def grown_objects(self) -> int:
        """Growth of the number of objects since the last one: an upper bound."""
        return self._net_objects() - self._net_left

    def note_rss(self, rss: int) -> None:
        self._rss = rss
        self._rss_left = min(self._rss_left, rss)

    def note_tenured(self) -> None:
        """There are objects that only a full collection goes through."""
        self._promoted = True

    def note_other(self) -> None:
        """Somebody else's full collection went through everything."""
        self._ended_at_ns = self._heap.now()
        self._rss_left = self._rss
        self._net_left = self._net_objects()

    def poll(self) -> bool:
        """Whether a full collection runs. If ours has ended, note what it came to."""
        full = self._full
        if full is not None and full.outcome is not None:
            self._full = None
            self._take_in(full, full.outcome)
            self._seen = self._heap.full_collections()
        elif full is None and self._seen != self._heap.full_collections():
            self._seen = self._heap.full_collections()
            self.note_other()
        return self._full is not None or self._heap.full_runs()

    @property
    def is_running(self) -> bool:
        """Whether ours runs, by the last `poll()`."""
        return self._full is not None

    def is_outgrown(self) -> bool:
        """Whether memory has grown so much since ours was begun that it is too long to wait."""
        return self.is_running and self._rss > OUTGROWN * self._rss_begun

    # When one is due.

    def growth(self) -> str:
        """What has grown enough, in words; or ""."""
        if self.grown_bytes >= max(self._rss_left * self.growth_wanted / 2, LEAST_GROWTH_BYTES):
            return f"the resident set grew {size(self.grown_bytes)}"
        objects = self.grown_objects
        least = LEAST_GROWTH_BYTES // BYTES_PER_OBJECT
        if objects >= max(self._objects_left * self.growth_wanted, least):
            return f"there are up to {objects:,} more objects"
        return ""

    def why_due(self) -> str:
        """Why a full collection is due, in words; "": it is not."""
        cost = self.predicted_ns
        elapsed = self._heap.now() - self._ended_at_ns
        affordable = elapsed * self._budget
        patience = 1 << self.back_off
        growth = self.growth() if self.by_growth else ""
        # Memory is bounded before time is. But if the last one was void, so may the next one be.
        fast = not self._was_void and self.grown_bytes >= max(
            self._rss_left * self.growth_wanted, LEAST_GROWTH_BYTES
        )
        if growth and (fast or cost <= affordable * EVIDENCE / patience):
            return f"{growth} since the last, {duration(elapsed)} ago"
        routine = elapsed >= ROUTINE_NS * patience and cost * patience <= affordable / 2
        promoted = self._promoted or not self.by_growth
        return f"none was made for {duration(elapsed)}" if promoted and routine else ""

    # One that is due waits for its moment, and begins.

    @property
    def waits(self) -> bool:
        """Whether one was due at the last check, and has not begun."""
        return self._quiet_by_ns != 0

    def wait_if_due(self) -> bool:
        """If one is due, it waits for its moment from now on. Returns whether one waits."""
        if not self.why_due():
            self._quiet_by_ns = 0
        elif not self._quiet_by_ns:
            self._quiet_by_ns = self._heap.now() + QUIET_NS
        if self.waits:
            self._heap.prepare_full()
        return self.waits

    def why_begin_now(self) -> str:
        """Why the one that waits is to begin now, in words; "": it is not."""
        why = self.why_due() if self.waits else ""
        now = self._heap.now()
        if not why or (now < self._quiet_by_ns and self._heap.in_flight()):
            return ""
        return why if self._heap.turn_comes(now - self._quiet_by_ns + QUIET_NS) else ""

    def begin(self) -> bool:
        """Begin one. False where another collection prevents it."""
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
        self.poll()
        return True

    # What it came to.

    def _take_in(self, full: FullCollection, outcome: str) -> None:
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

    def _cost_of(self, full: FullCollection) -> int:
        run = full.measured
        return self._stopped_ns + run.start_pause_ns + run.sweep_total_ns + run.child_cpu_ns

    def _net_objects(self) -> int:
        """Objects made up to now, less those that were collected, or freed before that."""
        collected = sum(tally.collected for tally in self._heap.tallies())
        return self._heap.allocated() - collected


def _pause_ns(heap: WholeHeap) -> int:
    return heap.tallies()[-1].pause_total_ns
