"""The policy `auto`: what is collected when, decided from measured pauses and memory.

CPython's generations 0 to 2 are kept small and a fourth is put behind them: objects that a
collection of generation 2 has left alive are *tenured* (`gc.freeze()`), so that no collection but a
true full one goes through them again. Four rules:

1. Young. Generation 0 is collected after a request when enough was allocated since (the core's
   business), and at every look: the count is net, so objects that die hide new ones.
2. Middle and recent. Generation 1, and generation 2 with what came into it since it was tenured
   last, are collected when their predicted pause fits into a quarter of the GC budget, or before it
   would exceed a quarter of `max_pause`. What is predicted is the time that the collections took
   which moved objects there, times the ratio that it had to the real pause before.
   A pass that would take longer than `max_pause`, or half of it at a boundary, would be in the way
   of a full collection, or is one of those that have lately found next to nothing, is left out:
   what is there is tenured as it is, and its garbage left to the next full collection.
3. Full. All of the heap, tenured objects too, when the number of objects or the resident set has
   grown by a share since the last one, or in any case when enough time has passed for it to be half
   of the GC budget. It begins at a look of its own, so that nothing adds to the stop.
4. Back-off. A full collection that found next to nothing doubles that share and that time, one that
   found something takes them back.

Looks come at boundaries, `check_interval` apart at least, or up to eight times that while nothing
grows. Each stops the process once for an older generation at most. docs/auto.md has the reasons,
and what was measured.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from gcctl._auto.debt import PART, Debt, was_in_vain
from gcctl._auto.full_collections import NS_PER_BYTE, FullCollections, WholeHeap
from gcctl._auto.safety_net import SafetyNet
from gcctl._base.public import public
from gcctl._base.units import duration
from gcctl._core.records import Event

YOUNG, MIDDLE, OLD = range(3)

SHORTEST_NS: Final = {MIDDLE: 10**9, OLD: 10 * 10**9}
"""Shortest time between two collections that are not about to become too long."""

FREE_NS: Final = 500
"""What it takes to free an object that a collection has found unreachable, roughly."""

WORTH_NS: Final = 1_500
"""What collections of generation 2 may take per object that is freed, to be worth it. Where much of
what they go through is garbage, it is a third; where most of it lives, several times as much."""

YOUNG_AFTER: Final = 5_000
"""Net allocations after which generation 0 is collected at a boundary."""


CALM_BYTES: Final = 2**18
"""Growth of the resident set from one look to the next that is none."""

CALM_BOUNDARIES: Final = 50
"""From one look to the next: with more, what a look costs is little for each."""

MOST_INTERVALS: Final = 8
"""Between two looks while nothing grows, of `check_interval`."""

IN_VAIN: Final = "the last found next to nothing"


class Heap(WholeHeap, Protocol):
    """What the policy acts on: this process's heap, or a simulated one."""

    def boundaries(self) -> int: ...

    def check_after(self, intervals: int) -> None:
        """So many intervals until the next look at a boundary, where that is possible; 0: at the
        next one."""

    @property
    def concurrent(self) -> bool:
        """Whether full collections are, as a rule."""

    @property
    def kept(self) -> bool:
        """Whether full collections that stop the world leave tenured objects alone."""

    def collect(self, generation: int) -> int:
        """Returns the unreachable objects found, -1 where another collection prevents it."""

    def tenure(self) -> bool:
        """Take all objects out of the three generations, but for young garbage, which is collected;
        False where that cannot be taken back."""


@public
class Decision(NamedTuple):
    """Something that was done, and why."""

    time_ns: int
    what: str


@public
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


class Rules:
    """The policy of one process. All of its state is a few numbers."""

    def __init__(
        self,
        heap: Heap,
        max_pause_ns: int,
        budget: float,
        thresholds: tuple[int, int, int],
        rss: int,
    ) -> None:
        """`thresholds`: those of automatic GC that were found. `begin` is to be called first."""
        self._heap = heap
        self._budget = budget
        self._max_pause_ns = max_pause_ns
        self.safety_net = SafetyNet(max_pause_ns, budget, thresholds, heap.now(), rss)
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
        self._full = FullCollections(self._heap, self._budget, rss)
        self.safety_net.clear(now, rss)
        self._checking = False
        self._rss = rss  # at the last look at a boundary
        self._boundaries = 0  # up to that
        self._intervals = 1  # from there to the next one
        self._was_running = False  # a full collection, at the end of the last look
        # In a program without requests: what collections of generation 2 have taken, and what they
        # and full ones have freed; what is long ago counts for little.
        self._gone_through_ns = self._freed = 0
        self._marked = False  # whether a request was, by the last look
        self._tenured = 0
        self._decisions: dict[int | None, Decision] = {}

    def thresholds_without_requests(self) -> tuple[int, int, int]:
        """Of automatic GC, in a program that marks none, now."""
        return self.safety_net.thresholds_without_requests(full_runs=self._full.is_running)

    @property
    def stats(self) -> AutoStats:
        full = self._full
        return AutoStats(
            middle_predicted_ns=self._middle.predicted_ns,
            recent_predicted_ns=self._recent.predicted_ns,
            full_predicted_ns=full.predicted_ns,
            grown_bytes=max(full.grown_bytes, 0),
            grown_objects=max(full.grown_objects, 0),
            growth_wanted=full.growth_wanted,
            back_off=full.back_off,
            tenured=self._tenured,
            full_collections=full.begun,
            decisions=tuple(sorted(self._decisions.values())),
        )

    def check(self, rss: int, *, boundary: bool = True) -> bool:
        """Do what is due: at a boundary, or (by another thread) while none comes.

        At a boundary, and while no request is in flight, it is the time for young objects too; at
        idle, for whatever takes no longer than `max_pause`. Returns whether anything is owed.
        """
        if self._checking:  # in a finalizer, or in two threads; with the next line one step
            return True
        self._checking = True
        try:
            return self._check(rss, boundary)
        finally:
            self._checking = False

    def _check(self, rss: int, boundary: bool) -> bool:
        # A program that marks no requests is not idle because none is in flight; and automatic GC
        # goes through what it has not tenured.
        marks = self._heap.boundaries() > 0
        idle = marks and not boundary and not self._heap.in_flight()
        full, net = self._full, self.safety_net
        full.by_growth = self._is_growth_a_reason()
        full.note_rss(rss)
        if marks and not self._marked:
            self._marked = True
            if self._recent.kept_ns:  # it was left to automatic GC
                self._tenure_all()
        grown = net.has_grown(rss)
        collected_since = self._take_in()
        running, waited = full.run(), full.waits
        # What was young garbage is no reason, and the resident set is not known without it yet.
        if not running and not (grown and marks) and self._begin_full():
            self._was_running = full.run()
            self._pace(rss, boundary, calm=False)
            return True
        if boundary or (idle and not collected_since) or grown:
            collected = self._heap.collect(YOUNG)
            self._take_in()
            if grown:
                net.note_growth(self._heap.now(), rss, collected)
            net.note_collected(rss)
        net.note_rss(rss)
        if boundary and not grown:
            net.relax()
        running = full.run()
        if full.found:
            self._judge(0, full.found)
            full.found = 0
        if self._was_running and not running and (marks or self._may_tenure()):
            # Its sweep has brought objects into generation 1 that no debt knows of.
            self._tenure_all()
        if running and full.is_outgrown():  # its child gets no turn, say
            self._heap.stop()
            running = full.run()
        waits = not running and self._may_need_full() and full.is_wanted()
        self._pace(rss, boundary, calm=not (running or waits))
        if not marks:
            self._was_running = running
            return bool(running or waits or (full.by_growth and full.growth()))
        if waits and not waited:
            pass  # it goes through all that, most likely at the next look
        elif self._is_due(OLD, self._recent, idle) and self._collect_recent(running, idle):
            pass  # and no other at the same boundary
        elif self._is_due(MIDDLE, self._middle, idle):
            self._collect_middle(running, idle)
        in_flight = not boundary and self._heap.in_flight()
        self._was_running = full.run()
        owed = self._middle.owed_ns or self._recent.owed_ns or full.growth()
        return bool(running or waits or owed or in_flight)

    def _pace(self, rss: int, boundary: bool, *, calm: bool) -> None:
        """Looks are further apart in a small service while nothing grows: most of what one costs
        there is not collecting. The first boundary after some time without is one."""
        if not boundary:
            self._intervals = 0
            self._heap.check_after(0)
            return
        boundaries = self._heap.boundaries()
        owed_ns = max(self._middle.predicted_ns, self._recent.predicted_ns - self._recent.kept_ns)
        calm = (
            calm
            and rss - self._rss <= CALM_BYTES
            and boundaries - self._boundaries <= CALM_BOUNDARIES
            and owed_ns * 2 < self._max_pause_ns // PART  # else it could be too much by then
        )
        self._rss, self._boundaries = rss, boundaries
        self._intervals = min(max(self._intervals * 2, 1), MOST_INTERVALS) if calm else 1
        self._heap.check_after(self._intervals)

    def _begin_full(self) -> bool:
        """The one that was found to be wanted at the last look, if its moment has come."""
        why = self._full.due()
        if not why:
            return False
        if not self._heap.concurrent:  # the same stop; and what is young says nothing of the rest
            self._heap.collect(YOUNG)
        if not self._full.begin():
            return False
        self._seen = self._heap.tallies()
        self._decide(None, f"began a full collection: {why}")
        return True

    def _may_need_full(self) -> bool:
        """May there be garbage that only a full collection finds? In a program that marks no
        requests it is looked for only where that stops nothing, as a rule."""
        return self._heap.boundaries() > 0 or self._heap.concurrent

    def _is_growth_a_reason(self) -> bool:
        """Does it say anything of what is tenured? In a program that marks no requests, and where
        nothing is but what was there at the start, it does not."""
        return self._heap.boundaries() > 0 or (self._tenured > 1 and self._stops_nothing())

    def _stops_nothing(self) -> bool:
        """Are full collections concurrent, and was the last one?"""
        return self._heap.concurrent and not self._full.stopped_world

    def _may_tenure(self) -> bool:
        """Is it worth it in a program that marks no requests? Not where it would be garbage soon.
        Nor where that has to stop the world, which takes longer than all that is left out."""
        return self._gone_through_ns > self._freed * WORTH_NS and self._stops_nothing()

    def _may_leave_out_middle(self) -> bool:
        """Of automatic GC's, in a program that marks no requests."""
        marks = self._heap.boundaries() > 0
        worth_it = self._middle.to_leave_out > 0 and self._tenured > 1 and self._may_tenure()
        return worth_it and not marks

    def concerns(self, event: Event) -> bool:
        """Is `automatic` to be told of it? Else the next look takes it in."""
        return event.generation > YOUNG or self._may_leave_out_middle()

    def automatic(self, event: Event, rss: int, *, asked_for: bool) -> bool:
        """Automatic GC has collected, or somebody who has `asked_for` it: in the middle of
        anything, which is the only occasion in a program that marks no requests. Returns whether
        there is something to do for a deputy.

        What a full collection has left that was asked for is tenured. So is what has come into
        generation 2 when going through it would take too long. In a program that marks no requests
        automatic GC goes through it, unless there is next to no garbage, and when that took too
        long, what it left is tenured. What has come into generation 1 is tenured there before it is
        gone through, after a pass that found next to nothing. The thresholds that such a program is
        to have may be others after it.
        """
        if event.generation > YOUNG and not self._heap.boundaries():
            young, middle, _ = self._heap.tallies()
            paused_ns = young.pause_total_ns + middle.pause_total_ns
            self.safety_net.note_time(self._heap.now(), paused_ns, rss)
        if self._checking:  # the next look takes it in
            return False
        self._checking = True
        try:
            self._take_in()
            self._full.note_rss(rss)
            if event.generation == YOUNG and self._may_leave_out_next():
                self._leave_out(MIDDLE, self._middle, IN_VAIN)
            if event.generation == MIDDLE:
                self._middle.learn(event.pause_ns, event.collected)
            whole = event.generation == OLD and asked_for
            if whole and not self._heap.kept:  # it went through everything
                self._full.note_other()
            if whole or self._is_too_long(event):
                self._tenure_all()
            self._full.by_growth = self._is_growth_a_reason()
            return self._full.run() or (self._may_need_full() and bool(self._full.wanted()))
        finally:
            self._checking = False

    def _may_leave_out_next(self) -> bool:
        """Will the next collection of automatic GC's be of generation 1, and of no use?"""
        is_middle = self._middle.moves > self.safety_net.thresholds_without_requests()[1]
        return is_middle and self._may_leave_out_middle()

    def _is_too_long(self, event: Event) -> bool:
        longest_ns = self._max_pause_ns // PART
        if self._heap.boundaries():
            return self._recent.predicted_ns >= longest_ns
        if event.generation == OLD:
            self._judge(event.pause_ns, event.collected)
        if not self._may_tenure():
            return False
        if event.generation == OLD:
            return event.pause_ns - event.collected * FREE_NS >= longest_ns
        in_vain = was_in_vain(event.pause_ns, event.collected)
        return event.generation == MIDDLE and in_vain and self._recent.predicted_ns >= longest_ns

    def _judge(self, gone_through_ns: int, freed: int) -> None:
        self._gone_through_ns = self._gone_through_ns // 2 + gone_through_ns
        self._freed = self._freed // 2 + freed

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
        self._middle.add(before[YOUNG], seen[YOUNG])
        self._recent.add(before[MIDDLE], seen[MIDDLE])
        old = seen[OLD].collections - before[OLD].collections
        if old:
            pause = (seen[OLD].pause_total_ns - before[OLD].pause_total_ns) // old
            self._recent.settle(now, pause, kept=True)
        return True

    def _is_due(self, generation: int, debt: Debt, idle: bool) -> bool:
        predicted = debt.predicted_ns
        if not debt.owed_ns:
            return False
        if idle and predicted <= self._max_pause_ns:
            return True
        if predicted >= self._max_pause_ns // PART and not debt.kept_ns:
            return True
        elapsed = self._heap.now() - debt.since_ns
        return elapsed >= SHORTEST_NS[generation] and predicted <= elapsed * self._budget / PART

    def _collect_middle(self, running: bool, idle: bool) -> None:
        predicted = self._middle.predicted_ns
        if self._is_left_out(MIDDLE, self._middle, running, idle):
            return
        pause = self._pause_of(MIDDLE, self._middle)
        if pause is not None:
            self._middle.settle(self._heap.now(), pause, kept=False)
            self._recent.owed_ns += pause
            self._decide(MIDDLE, f"collected generation 1: {_foretold(predicted, pause)}")

    def _collect_recent(self, running: bool, idle: bool) -> bool:
        """False where nothing was done."""
        predicted, tenured_before = self._recent.predicted_ns, self._tenured
        if self._is_left_out(OLD, self._recent, running, idle):
            return self._tenured > tenured_before
        if running:  # it would make that void
            return False
        pause = self._pause_of(OLD, self._recent)
        if pause is None:
            return False
        tenured = self._heap.tenure()
        self._seen = self._heap.tallies()
        self._tenured += tenured
        self._full.note_tenured()
        now = self._heap.now()
        self._middle.clear(now)
        self._recent.settle(now, pause, kept=not tenured)
        done = "collected generation 2" + (" and tenured what it left" if tenured else "")
        self._decide(OLD, f"{done}: {_foretold(predicted, pause)}")
        return True

    def _is_left_out(self, generation: int, debt: Debt, running: bool, idle: bool) -> bool:
        """Tenure what is there as it is, rather than go through it, where that is better."""
        why = ""
        # At a boundary there was a young collection right before, as a part of the same stop.
        too_long = debt.predicted_ns > (self._max_pause_ns if idle else self._max_pause_ns // 2)
        if running:
            why = "while a full collection runs"
        elif too_long:
            why = f"predicted {duration(debt.predicted_ns)}"
        elif debt.to_leave_out and not idle:
            why = IN_VAIN
        if not why:
            return False
        if self._leave_out(generation, debt, why):
            return True
        # Then it is for the full collection, where that does not stop the process either.
        return generation == OLD and too_long and self._heap.concurrent

    def _leave_out(self, generation: int, debt: Debt, why: str) -> bool:
        """Tenure what is there as it is; False where that is not possible."""
        if not self._tenure_all():
            return False
        debt.to_leave_out = max(debt.to_leave_out - 1, 0)
        self._decide(generation, f"tenured what was in generation {generation} and below: {why}")
        return True

    def _tenure_all(self) -> bool:
        """Without going through it."""
        if not self._heap.tenure():
            return False
        self._seen = self._heap.tallies()
        self._tenured += 1
        self._full.note_tenured()
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

    def _decide(self, generation: int | None, what: str) -> None:
        self._decisions[generation] = Decision(self._heap.now(), what)


def _foretold(predicted_ns: int, pause_ns: int) -> str:
    return f"{duration(pause_ns)}, predicted {duration(predicted_ns)}"
