"""The policy `auto`: what is collected when, decided from measured pauses and memory.

It keeps CPython's generations 0 to 2 small and puts a fourth behind them: objects that a collection
of generation 2 has left alive are *tenured* (`gc.freeze()`). Only a full collection of the whole
heap goes through them again. The rules:

1. Generation 0 is collected after a request when enough was allocated since the last time. The core
   does that. Each check collects generation 0 too, because the core's count is net: objects that
   die hide new ones.
2. Generations 1 and 2 are collected when their predicted pause fits into a quarter of the GC
   budget, or when it would soon exceed a quarter of `max_pause` (`debt.py`). What a collection of
   generation 2 leaves alive is tenured (`generations.py`).
3. A collection of generation 1 or 2 is skipped when it would take too long, while a full collection
   runs, and after collections that found next to nothing. Its objects are tenured unchecked
   (`skipping.py`).
4. A full collection is due when memory has grown by a share since the last one, or when it costs
   little for the time since then (`full_collections.py`).
5. A full collection that found next to nothing doubles that share and that time. One that found
   something resets them.
6. A program that marks no requests is left to automatic GC, which is spared some of its work
   (`without_requests.py`).

Checks come at boundaries, and in other places while no boundary comes (`checks.py`). Each stops the
process once for an older generation at most. docs/auto.md has the reasons, and what was measured.
"""

from __future__ import annotations

from typing import Final

from gcctl._auto.checks import Pace
from gcctl._auto.debt import MIDDLE, OLD, YOUNG, Limits
from gcctl._auto.full_collections import FullCollections
from gcctl._auto.generations import Generations, Heap
from gcctl._auto.safety_net import SafetyNet
from gcctl._auto.stats import AutoStats, Decisions
from gcctl._auto.without_requests import WithoutRequests
from gcctl._core.records import Event

YOUNG_AFTER: Final = 5_000
"""Net allocations after which generation 0 is collected at a boundary."""


class Rules:
    """The policy of one process: the order in which a check does things. All of its state is a few
    numbers."""

    def __init__(
        self,
        heap: Heap,
        max_pause_ns: int,
        budget: float,
        thresholds: tuple[int, int, int],
        rss: int,
    ) -> None:
        """`budget`: the share of elapsed time for GC. `thresholds`: those of automatic GC before
        gcctl. `rss`: the resident set in bytes. `begin` is to be called first."""
        self._heap = heap
        self._limits = Limits(max_pause_ns, budget)
        self.safety_net = SafetyNet(max_pause_ns, budget, thresholds, heap.now(), rss)
        self._reset(rss)

    def begin(self, rss: int) -> None:
        """Start with clean counters: at the installation, and in a forked child."""
        self._reset(rss)
        self._generations.begin(rss)

    def _reset(self, rss: int) -> None:
        heap, limits = self._heap, self._limits
        self._decisions = Decisions(heap.now)
        self._full = FullCollections(heap, limits.budget, rss)
        self._generations = Generations(heap, limits, self._full, self._decisions)
        self._without_requests = WithoutRequests(
            heap, self._generations, self._full, limits.longest_ns
        )
        self._pace = Pace(heap, limits.longest_ns, rss)
        self.safety_net.clear(heap.now(), rss)
        self._checking = False
        self._marks_requests = False  # whether the program did, by the last check
        self._full_ran = False  # whether a full collection did, at the end of the last check

    def thresholds_without_requests(self) -> tuple[int, int, int]:
        """The thresholds of automatic GC, in a program that marks no requests."""
        return self.safety_net.thresholds_without_requests(full_runs=self._full.is_running)

    @property
    def stats(self) -> AutoStats:
        full, generations = self._full, self._generations
        return AutoStats(
            middle_predicted_ns=generations.middle.predicted_ns,
            recent_predicted_ns=generations.recent.predicted_ns,
            full_predicted_ns=full.predicted_ns,
            grown_bytes=max(full.grown_bytes, 0),
            grown_objects=max(full.grown_objects, 0),
            growth_wanted=full.growth_wanted,
            back_off=full.back_off,
            tenured=generations.tenured,
            full_collections=full.begun,
            decisions=self._decisions.in_order(),
        )

    def check(self, rss: int, *, boundary: bool = True) -> bool:
        """Do what is due: at a boundary, or while none comes.

        At a boundary, and while no request is in flight, generation 0 is collected too. At idle,
        whatever takes no longer than `max_pause` is collected. Returns whether anything is owed.
        """
        # A finalizer, or another thread, may be in it. With the next line this is one step.
        if self._checking:
            return True
        self._checking = True
        try:
            return self._check(rss, boundary)
        finally:
            self._checking = False

    def _check(self, rss: int, boundary: bool) -> bool:
        # A program that marks no requests is not idle when none is in flight, and automatic GC goes
        # through what it has not tenured.
        marks = self._heap.boundaries() > 0
        idle = marks and not boundary and not self._heap.in_flight()
        full, net, generations = self._full, self.safety_net, self._generations
        full.by_growth = marks or self._without_requests.growth_counts
        full.note_rss(rss)
        if marks and not self._marks_requests:
            self._begin_with_requests()
        grown = net.has_grown(rss)
        collected_since = generations.take_in()
        running, waited = full.poll(), full.waits
        # Young garbage is no reason for a full collection. If memory has grown, it has to go first:
        # without it the size of the resident set is not known yet.
        if not running and not (grown and marks) and self._begin_full():
            self._full_ran = full.poll()
            self._pace.ask_for_next(rss, generations.debts, boundary, calm=False)
            return True
        if boundary or (idle and not collected_since) or grown:
            self._collect_young(rss, grown)
        net.note_rss(rss)
        if boundary and not grown:
            net.relax()
        running = self._follow_full(marks)
        may_need = not running and (marks or self._without_requests.may_need_full)
        waits = may_need and full.wait_if_due()
        self._pace.ask_for_next(rss, generations.debts, boundary, calm=not (running or waits))
        if not marks:
            self._full_ran = running
            return bool(running or waits or (full.by_growth and full.growth()))
        # A full collection that has just become due goes through generations 1 and 2 too, most
        # likely at the next check.
        if waited or not waits:
            generations.collect_due(full_runs=running, idle=idle)
        self._full_ran = full.poll()
        return bool(running or waits or self._is_owed(boundary))

    def _begin_with_requests(self) -> None:
        """The program has marked its first request."""
        self._marks_requests = True
        if self._generations.recent.kept_ns:  # it was left to automatic GC
            self._generations.tenure_unchecked()

    def note_given_up(self) -> None:
        """No place answers any more, so all was given back to the generations."""
        self._decisions.note(None, "gave all back to automatic GC: no place has answered")

    def tenure_again(self, why: str) -> None:
        """What was tenured is no longer, because of this. Tenure what is in the generations now,
        unchecked: to go through it would take long."""
        if not self._checking and self._generations.tenure_unchecked():
            self._decisions.note(None, f"tenured all again: {why}")

    def _begin_full(self) -> bool:
        """Begin the full collection that the last check found to be due, if its moment has come."""
        why = self._full.why_begin_now()
        if not why:
            return False
        # If it stops the world anyway, generation 0 goes in the same stop. Its garbage is then not
        # counted as found by the full collection: it says nothing about older objects.
        if not self._heap.concurrent:
            self._heap.collect(YOUNG)
        if not self._full.begin():
            return False
        self._generations.note_full_begun()
        self._decisions.note(None, f"began a full collection: {why}")
        return True

    def _collect_young(self, rss: int, grown: bool) -> None:
        """Collect generation 0. `grown`: because memory has grown."""
        collected = self._heap.collect(YOUNG)
        self._generations.take_in()
        if grown:
            self.safety_net.note_growth(rss, collected)
        self.safety_net.note_collected(rss)

    def _follow_full(self, marks: bool) -> bool:
        """Note what a full collection has come to. Returns whether one runs."""
        full = self._full
        running = full.poll()
        if full.found:
            self._without_requests.note_found(0, full.found)
            full.found = 0
        if self._full_ran and not running and (marks or self._without_requests.may_tenure):
            # Its sweep has moved objects into generation 1, and no debt knows of them.
            self._generations.tenure_unchecked()
        if running and full.is_outgrown():  # its child may get no processor
            self._heap.collect_everything()
            running = full.poll()
        return running

    def _is_owed(self, boundary: bool) -> bool:
        """Whether there is anything to do at idle."""
        generations = self._generations
        owed = generations.middle.owed_ns or generations.recent.owed_ns or self._full.growth()
        return bool(owed or (not boundary and self._heap.in_flight()))

    def wants_external(self, event: Event) -> bool:
        """Whether `after_external` is to be called for this collection. If not, the next check
        takes it in."""
        if event.generation > YOUNG:
            return True
        return self._without_requests.may_skip_middle and not self._heap.boundaries()

    def after_external(self, event: Event, rss: int) -> bool:
        """Automatic GC has collected, or an explicit `gc.collect()`. The program may be in the
        middle of anything. Returns whether there is something to do at idle.

        In a program that marks no requests, gcctl can do something only here and at idle, and the
        thresholds of automatic GC may be different after it. Objects that are alive after an
        explicit full collection are tenured. So are the objects that automatic GC left, if going
        through them again would take too long.
        """
        marks = self._heap.boundaries() > 0
        if event.generation > YOUNG and not marks:
            young, middle, _ = self._heap.tallies()
            paused_ns = young.pause_total_ns + middle.pause_total_ns
            self.safety_net.note_time(self._heap.now(), paused_ns, rss)
        if self._checking:  # the next check takes it in
            return False
        self._checking = True
        try:
            self._take_in_external(event, rss, marks)
            if self._full.poll():
                return True
            may_need = marks or self._without_requests.may_need_full
            return may_need and bool(self._full.why_due())
        finally:
            self._checking = False

    def _take_in_external(self, event: Event, rss: int, marks: bool) -> None:
        generations, full = self._generations, self._full
        generations.take_in()
        full.note_rss(rss)
        if event.generation == YOUNG and not marks:
            threshold = self.safety_net.thresholds_without_requests()[1]
            self._without_requests.skip_middle(threshold)
        if event.generation == MIDDLE:
            generations.middle_skips.note_found(event.pause_ns, event.collected)
        whole = event.generation == OLD and event.reason == "explicit"
        if whole:  # it went through everything
            full.note_other()
        if whole or self._takes_too_long(event, marks):
            generations.tenure_unchecked()
        full.by_growth = marks or self._without_requests.growth_counts

    def _takes_too_long(self, event: Event, marks: bool) -> bool:
        """Whether collecting generation 2 would take too long, by what automatic GC has left."""
        if marks:
            return self._generations.recent.predicted_ns >= self._limits.longest_ns
        return self._without_requests.takes_too_long(event)
