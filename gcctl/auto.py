"""The policy `auto`: what is collected when, decided from measured pauses and memory.

CPython's generations 0 to 2 are kept small and a fourth is put behind them: objects that a
collection of generation 2 has left alive are *tenured* (`gc.freeze()`), so that no collection but a
true full one goes through them again. Four rules:

1. Young. Generation 0 is collected after a request when enough was allocated since (the core's
   business), and at every look that follows none: the count is net, so objects that die hide new
   ones.
2. Middle and recent. Generation 1, and generation 2 with what came into it since it was tenured
   last, are collected when their predicted pause fits into a quarter of the GC budget, or before it
   would exceed a quarter of `max_pause`. What is predicted is the time that the collections took
   which moved objects there, times the ratio that it had to the real pause before.
   A pass that would take longer than `max_pause`, would be in the way of a full collection, or is
   one of those that have lately found next to nothing, is left out: what is there is tenured as it
   is, and its garbage left to the next full collection.
3. Full. All of the heap, tenured objects too, when the number of objects or the resident set has
   grown by a share since the last one, or in any case when enough time has passed for it to be half
   of the GC budget.
4. Back-off. A full collection that found next to nothing doubles that share and that time, one that
   found something takes them back.

Looks come at boundaries, `check_interval` apart at least; each stops the process once for an older
generation at most. docs/auto.md has the reasons, and what was measured.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from gcctl._protocol import Tally
from gcctl.units import duration, size

YOUNG, MIDDLE, OLD = range(3)

PART: Final = 4
"""Middle and recent collections each may take this part of `gc_budget`, and of `max_pause`."""

SHORTEST_NS: Final = {MIDDLE: 10**9, OLD: 10 * 10**9}
"""Shortest time between two collections that are not about to become too long."""

ROUTINE_NS: Final = 60 * 10**9
"""Shortest time between two full collections for which memory gives no reason."""

EVIDENCE: Final = 5
"""So many times the GC budget may go into full collections while memory grows."""

GROWTH: Final = 0.20
MOST_GROWTH: Final = 0.40
"""Share by which the number of objects has to grow since the last full collection, or by half of
it the resident set. CPython's own is 25 % of the objects."""

YOUNG_SHARE: Final = 0.05
"""Part of the resident set that young garbage may take up in a program without requests."""

LEAST_GROWTH_BYTES: Final = 8 * 2**20

FAST_NS: Final = 10**9
"""How long memory is looked at more often after it has grown by that much between two looks."""

WORTH_WHILE: Final = 0.01
"""Part of all tracked objects that a full collection has to find, or else it was for nothing."""

VISIT_NS: Final = 100
"""What a collection takes per object that it goes through, roughly."""

MOST_LEFT_OUT: Final = 8
"""Collections of a generation in a row that are left out, at most."""

BYTES_PER_OBJECT: Final = 150
"""Of the resident set, where nobody has counted the objects."""

MOST_BACK_OFF: Final = 3

QUIET_NS: Final = 2 * 10**9
"""How long a full collection waits for a moment without requests in flight."""

YOUNG_AFTER: Final = 5_000
"""Net allocations after which generation 0 is collected at a boundary."""

NEVER_BY_ITSELF: Final = 1_000_000_000
"""The threshold of generation 2: no full collection but those that are asked for."""

FEWEST_YOUNG: Final = 700
LEAST_YOUNG: Final = 5_000
MOST_YOUNG: Final = 10_000
"""The threshold of automatic GC is between the last two: objects can be large. From the first on
where they were found to be."""

NS_PER_BYTE: Final = 2.0
"""What a full collection is taken to cost as long as none was measured, per byte of the resident
set; more than it does."""

SAFETY_NET_NS_PER_OBJECT: Final = 60
"""What a young collection takes at most, per object that is alive."""


class Run(Protocol):
    """What a full collection took, and found."""

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


class Heap(Protocol):
    """What the policy acts on: this process's heap, or a simulated one."""

    def now(self) -> int: ...

    def tallies(self) -> tuple[Tally, ...]: ...

    def allocated(self) -> int: ...

    def in_flight(self) -> int: ...

    def boundaries(self) -> int: ...

    def full_runs(self) -> bool:
        """Does a concurrent full collection run, whoever began it?"""

    @property
    def concurrent(self) -> bool:
        """Whether full collections are, as a rule."""

    def collect(self, generation: int) -> int:
        """Returns the unreachable objects found, -1 where another collection prevents it."""

    def tenure(self) -> bool:
        """Take all objects out of the three generations; False where that cannot be taken back."""

    def begin_full(self) -> Full: ...


class Decision(NamedTuple):
    """Something that was done, and why."""

    time_ns: int
    what: str


class AutoStats(NamedTuple):
    """What the policy `auto` knows, and did last. Durations are nanoseconds, sizes bytes."""

    middle_predicted_ns: int = 0
    """The pause that collecting generation 1 would take now."""
    recent_predicted_ns: int = 0
    """The pause that generation 2 would take, without what is tenured."""
    full_predicted_ns: int = 0
    """What a full collection is expected to cost, pauses and CPU time of a child together."""
    grown_bytes: int = 0
    """Growth of the resident set since the last full collection."""
    grown_objects: int = 0
    """Tracked objects made since, less those that were freed: an upper bound, for what is freed
    while no more is allocated does not count."""
    growth_wanted: float = 0.0
    """Share by which the objects, or by half of it the resident set, have to grow until the next
    one is due."""
    back_off: int = 0
    """Full collections in a row that found next to nothing, up to 3."""
    tenured: int = 0
    """How often what was alive was tenured."""
    full_collections: int = 0
    """Begun by the policy."""
    decisions: tuple[Decision, ...] = ()
    """The last one about each generation, and about full collections."""


class Debt:
    """What has come into a generation since it was collected last, in nanoseconds: those that the
    collections took which moved objects there."""

    def __init__(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.owed_ns = 0
        self.kept_ns = 0
        """What collecting it took last, where its objects have stayed in it."""
        self._ratio = 1.0
        self._leave_out = 0  # so many after each that finds nothing
        self.to_leave_out = 0

    @property
    def predicted_ns(self) -> int:
        """The pause that collecting it would take now."""
        return self.kept_ns + int(self.owed_ns * self._ratio)

    def settle(self, now_ns: int, pause_ns: int, *, kept: bool) -> None:
        """It was collected."""
        if self.owed_ns:
            ratio = min(max((pause_ns - self.kept_ns) / self.owed_ns, 0.01), 2.0)
            self._ratio = max(ratio, (self._ratio + ratio) / 2)  # rather too long than too short
        self.kept_ns = pause_ns if kept else 0
        self.clear(now_ns)

    def clear(self, now_ns: int) -> None:
        """Nothing is there any more."""
        self.owed_ns = 0
        self.since_ns = now_ns

    def learn(self, pause_ns: int, collected: int) -> None:
        """Was it worth it?"""
        fruitless = collected * VISIT_NS < pause_ns * WORTH_WHILE
        self._leave_out = min(max(2 * self._leave_out, 1), MOST_LEFT_OUT) if fruitless else 0
        self.to_leave_out = self._leave_out


class Auto:
    """The policy of one process. All of its state is a few numbers."""

    def __init__(self, heap: Heap, max_pause_ns: int, budget: float, rss: int) -> None:
        """`begin` is to be called before anything else."""
        self._heap = heap
        self._budget = budget
        self._longest_ns = max_pause_ns // PART
        self._reset(rss)

    def begin(self, rss: int) -> None:
        """With clean counters: at the start, and in a forked child."""
        self._reset(rss)
        if self._heap.tenure():
            self._tenured = 1
            self._seen = self._heap.tallies()
        else:  # what is there has to be gone through whenever generation 2 is collected
            self._recent.kept_ns = int(rss * NS_PER_BYTE)

    def _reset(self, rss: int) -> None:
        now = self._heap.now()
        self._seen = self._heap.tallies()
        self._middle = Debt(now)
        self._recent = Debt(now)
        self._full: Full | None = None
        self._full_at_ns = now  # the end of the last one
        self._full_cost_ns = 0  # of the last one; 0: none was measured yet
        self._guess_ns = int(rss * NS_PER_BYTE)  # of what one costs, while none was measured
        self._rss = self._rss_left = self._rss_young = rss
        self._objects_left = rss // BYTES_PER_OBJECT  # by the last one; at first a guess
        self._net_left = 0
        self._growth = GROWTH
        self._looking = False
        self._fast_until_ns = 0
        self._most_young = MOST_YOUNG
        self._back_off = 0
        self._quiet_by_ns = 0  # when one that is due waits no longer for a quiet moment; 0: none is
        self._promoted = True  # anything since the last one, as far as is known
        self._paused_ns = 0  # by the beginning of the one that runs
        self._tenured = self._fulls = 0
        self._decisions: dict[int | None, Decision] = {}

    @property
    def stats(self) -> AutoStats:
        return AutoStats(
            middle_predicted_ns=self._middle.predicted_ns,
            recent_predicted_ns=self._recent.predicted_ns,
            full_predicted_ns=self._full_predicted_ns,
            grown_bytes=max(self._rss - self._rss_left, 0),
            grown_objects=max(self._grown_objects, 0),
            growth_wanted=self._growth,
            back_off=self._back_off,
            tenured=self._tenured,
            full_collections=self._fulls,
            decisions=tuple(sorted(self._decisions.values())),
        )

    @property
    def growing_fast(self) -> bool:
        """Has memory grown so much between two looks that the next one is wanted at once?"""
        return self._heap.now() < self._fast_until_ns

    def thresholds(self, max_pause_ns: int, rss: int | None = None) -> tuple[int, int, int]:
        """As `safety_net`, and lower while young objects are found to be large."""
        young, middle, old = safety_net(max_pause_ns, rss)
        return min(young, self._most_young), middle, old

    def look(self, rss: int, *, boundary: bool = True) -> bool:
        """Do what is due: at a boundary, or (by another thread) while none comes.

        At a boundary, and while no request is in flight, it is the time for young objects too; at
        idle, for whatever takes no longer than `max_pause`. Returns whether anything is owed.
        """
        if self._looking:  # in a finalizer, or in two threads; with the next line one step
            return True
        self._looking = True
        try:
            return self._look(rss, boundary)
        finally:
            self._looking = False

    def _look(self, rss: int, boundary: bool) -> bool:
        # A program that marks no requests is not idle because none is in flight.
        idle = not boundary and self._heap.boundaries() > 0 and not self._heap.in_flight()
        self._rss = rss
        self._rss_left = min(self._rss_left, rss)
        grown = rss - self._rss_young > max(rss * YOUNG_SHARE, LEAST_GROWTH_BYTES)
        if (not self._take_in() and (boundary or idle)) or grown:
            collected = self._heap.collect(YOUNG)
            self._take_in()
            if grown:
                self._note_large(rss, collected)
            self._rss_young = rss
        self._rss_young = min(self._rss_young, rss)
        if boundary and not grown:
            self._most_young = min(self._most_young * 2, MOST_YOUNG)
        running = self._watch_full() or self._heap.full_runs()
        # What was young garbage is no reason, and the resident set is not known without it yet.
        why = "" if running or grown else self._why_full()
        if why:
            self._begin_full(why)
        elif self._is_due(OLD, self._recent, idle) and self._collect_recent(running):
            pass  # and no other at the same boundary
        elif self._is_due(MIDDLE, self._middle, idle):
            self._collect_middle(running)
        in_flight = not boundary and self._heap.in_flight()
        owed = self._middle.owed_ns or self._recent.owed_ns or self._growth_found()
        return bool(running or owed or in_flight)

    def _note_large(self, rss: int, collected: int) -> None:
        """Memory grew by young garbage, so many objects of it: fewer are to come together."""
        self._fast_until_ns = self._heap.now() + FAST_NS
        if collected > 0:
            grown = rss - self._rss_young
            wanted = max(rss * YOUNG_SHARE, LEAST_GROWTH_BYTES) / (grown / collected)
            self._most_young = min(max(int(wanted), FEWEST_YOUNG), MOST_YOUNG)

    def automatic(self, generation: int) -> bool:
        """Automatic GC has collected: in the middle of anything, which is the only occasion in a
        program that marks no requests. Returns whether there is something to do for a deputy.

        What a full collection has left is tenured, and what has come into generation 2 when going
        through it would take too long.
        """
        if self._looking or generation < MIDDLE:  # the next look takes it in
            return False
        self._looking = True
        try:
            self._take_in()
            if generation == OLD:  # somebody has asked for it, and it went through everything
                self._full_at_ns = self._heap.now()
                self._net_left = self._net_objects
            if generation == OLD or self._recent.predicted_ns >= self._longest_ns:
                self._tenure_all()
            return self._full is not None or bool(self._why_wanted())
        finally:
            self._looking = False

    def _take_in(self) -> bool:
        """What was collected since. True when anything was."""
        before, seen = self._seen, self._heap.tallies()
        if seen == before:
            return False
        self._seen = seen
        now = self._heap.now()
        if seen[OLD].collections + seen[MIDDLE].collections > (
            before[OLD].collections + before[MIDDLE].collections
        ):
            self._middle.clear(now)
        self._middle.owed_ns += seen[YOUNG].pause_total_ns - before[YOUNG].pause_total_ns
        self._recent.owed_ns += seen[MIDDLE].pause_total_ns - before[MIDDLE].pause_total_ns
        old = seen[OLD].collections - before[OLD].collections
        if old:
            pause = (seen[OLD].pause_total_ns - before[OLD].pause_total_ns) // old
            self._recent.settle(now, pause, kept=True)
        return True

    def _is_due(self, generation: int, debt: Debt, idle: bool) -> bool:
        predicted = debt.predicted_ns
        if not debt.owed_ns:
            return False
        if idle and predicted <= self._longest_ns * PART:
            return True
        if predicted >= self._longest_ns and not debt.kept_ns:
            return True
        elapsed = self._heap.now() - debt.since_ns
        return elapsed >= SHORTEST_NS[generation] and self._fits(predicted, elapsed, 1 / PART)

    def _fits(self, cost_ns: int, elapsed_ns: int, part: float) -> bool:
        """Is it within that part of the budget?"""
        return cost_ns <= elapsed_ns * self._budget * part

    def _collect_middle(self, running: bool) -> None:
        predicted = self._middle.predicted_ns
        if self._is_left_out(MIDDLE, self._middle, running):
            return
        pause = self._pause_of(MIDDLE, self._middle)
        if pause is not None:
            self._middle.settle(self._heap.now(), pause, kept=False)
            self._recent.owed_ns += pause
            self._decide(MIDDLE, f"collected generation 1: {_foretold(predicted, pause)}")

    def _collect_recent(self, running: bool) -> bool:
        """False where nothing was done."""
        predicted, tenured_before = self._recent.predicted_ns, self._tenured
        if self._is_left_out(OLD, self._recent, running):
            return self._tenured > tenured_before
        if running:  # it would make that void
            return False
        pause = self._pause_of(OLD, self._recent)
        if pause is None:
            return False
        tenured = self._heap.tenure()
        self._tenured += tenured
        self._promoted = True
        now = self._heap.now()
        self._middle.clear(now)
        self._recent.settle(now, pause, kept=not tenured)
        done = "collected generation 2" + (" and tenured what it left" if tenured else "")
        self._decide(OLD, f"{done}: {_foretold(predicted, pause)}")
        return True

    def _is_left_out(self, generation: int, debt: Debt, running: bool) -> bool:
        """Tenure what is there as it is, rather than go through it, where that is better."""
        why = ""
        if running:
            why = "while a full collection runs"
        elif debt.predicted_ns > self._longest_ns * PART:
            why = f"predicted {duration(debt.predicted_ns)}"
        elif debt.to_leave_out:
            why = "the last found next to nothing"
        if not why:
            return False
        if not self._tenure_all():
            # Then it is for the full collection, where that does not stop the process either.
            too_long = debt.predicted_ns > self._longest_ns * PART
            return generation == OLD and too_long and self._heap.concurrent
        debt.to_leave_out = max(debt.to_leave_out - 1, 0)
        self._decide(generation, f"tenured what was in generation {generation} and below: {why}")
        return True

    def _tenure_all(self) -> bool:
        """Without going through it."""
        if not self._heap.tenure():
            return False
        self._seen = self._heap.tallies()
        self._tenured += 1
        self._promoted = True
        now = self._heap.now()
        self._middle.clear(now)
        self._recent.clear(now)
        self._recent.kept_ns = 0
        return True

    def _pause_of(self, generation: int, debt: Debt) -> int | None:
        """Collect. How long that took; None where it was not possible."""
        collected = self._heap.collect(generation)
        if collected < 0:
            return None
        before, self._seen = self._seen, self._heap.tallies()
        pause = self._seen[generation].pause_total_ns - before[generation].pause_total_ns
        debt.learn(pause, collected)
        return pause

    @property
    def _full_predicted_ns(self) -> int:
        return self._full_cost_ns or self._guess_ns

    @property
    def _net_objects(self) -> int:
        """All that were made less all that were collected, or freed before they were."""
        collected = sum(tally.collected for tally in self._seen)
        return self._heap.allocated() - collected

    @property
    def _grown_objects(self) -> int:
        return self._net_objects - self._net_left

    def _growth_found(self) -> str:
        """What has grown enough for a full collection, in words; or ""."""
        grown = self._rss - self._rss_left
        if grown >= max(self._rss_left * self._growth / 2, LEAST_GROWTH_BYTES):
            return f"the resident set grew {size(grown)}"
        least = LEAST_GROWTH_BYTES // BYTES_PER_OBJECT
        objects = self._grown_objects
        if objects >= max(self._objects_left * self._growth, least):
            return f"there are up to {objects:,} more objects"
        return ""

    def _why_full(self) -> str:
        """Why a full collection is to begin now; "": it is not."""
        why = self._why_wanted()
        if not why:
            self._quiet_by_ns = 0
            return ""
        now = self._heap.now()
        self._quiet_by_ns = self._quiet_by_ns or now + QUIET_NS
        return why if now >= self._quiet_by_ns or not self._heap.in_flight() else ""

    def _why_wanted(self) -> str:
        cost = self._full_predicted_ns
        elapsed = self._heap.now() - self._full_at_ns
        patience = 1 << self._back_off
        grown = self._growth_found()
        # Memory is bounded before time is.
        fast = self._rss - self._rss_left >= max(self._rss_left * self._growth, LEAST_GROWTH_BYTES)
        if grown and (fast or self._fits(cost, elapsed, EVIDENCE / patience)):
            return f"{grown} since the last, {duration(elapsed)} ago"
        affordable = self._fits(cost * patience, elapsed, 1 / 2)
        if self._promoted and affordable and elapsed >= ROUTINE_NS * patience:
            return f"none was made for {duration(elapsed)}"
        return ""

    def _begin_full(self, why: str) -> None:
        self._quiet_by_ns = 0
        self._fulls += 1
        self._promoted = False
        before = self._heap.tallies()
        self._full = self._heap.begin_full()
        self._seen = self._heap.tallies()
        self._paused_ns = self._seen[OLD].pause_total_ns - before[OLD].pause_total_ns
        self._decide(None, f"began a full collection: {why}")
        self._watch_full()

    def _watch_full(self) -> bool:
        """Is one running? One that has ended says how it was."""
        full = self._full
        if full is None:
            return False
        if full.outcome is None:
            return True
        self._full = None
        self._full_at_ns = self._heap.now()
        run = full.measured
        cost = self._paused_ns + run.sweep_total_ns + run.child_cpu_ns
        if full.outcome.startswith("void"):
            self._promoted = True
            self._full_cost_ns = max(cost, self._full_cost_ns)
        else:
            self._full_cost_ns = cost
            self._learn(run)
        return False

    def _learn(self, run: Run) -> None:
        tracked = run.tracked_objects or self._rss // BYTES_PER_OBJECT
        self._rss_left = self._rss
        self._objects_left = tracked - run.objects_collected
        self._net_left = self._net_objects
        if run.objects_collected > tracked * WORTH_WHILE:
            self._growth, self._back_off = GROWTH, 0
        else:
            self._growth = min(self._growth * 2, MOST_GROWTH)
            self._back_off = min(self._back_off + 1, MOST_BACK_OFF)

    def _decide(self, generation: int | None, what: str) -> None:
        self._decisions[generation] = Decision(self._heap.now(), what)


def _foretold(predicted_ns: int, pause_ns: int) -> str:
    return f"{duration(pause_ns)}, predicted {duration(predicted_ns)}"


def safety_net(max_pause_ns: int, rss: int | None = None) -> tuple[int, int, int]:
    """Thresholds of automatic GC, with which it only strikes in a request that allocates without
    end, and stays within `max_pause` there.

    In a program that marks no requests they are all there is. What is garbage may then be a
    twentieth of the resident set `rss`.
    """
    young = min(max(max_pause_ns // PART // SAFETY_NET_NS_PER_OBJECT, LEAST_YOUNG), MOST_YOUNG)
    if rss is not None:
        young = min(young, max(int(rss * YOUNG_SHARE) // BYTES_PER_OBJECT, LEAST_YOUNG))
    return young, 5, NEVER_BY_ITSELF
