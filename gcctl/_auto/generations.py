"""Generations 1 and 2: collects them, tenures what is in them, and keeps their debts up to date.

To tenure objects is to take them out of the three generations with `gc.freeze()`. Only a full
collection of the whole heap goes through them again. So generation 2 holds only what came into it
since the last time, and its pause does not grow with the heap. Objects are tenured

1. when gcctl is installed, and in a forked child: all of them;
2. after each collection of generation 2: what it left alive;
3. unchecked, in place of a collection that is skipped (`skipping.py`);
4. unchecked, after a full collection has ended: its sweep has moved live objects into generation 1,
   and no debt knows of them;
5. after a full collection that somebody else asked for: what it left alive;
6. where automatic GC collects, when that takes too long (`without_requests.py`).
"""

from __future__ import annotations

from typing import Protocol

from gcctl._auto.checks import Boundaries
from gcctl._auto.debt import MIDDLE, OLD, YOUNG, Debt, Limits
from gcctl._auto.full_collections import NS_PER_BYTE, FullCollections, WholeHeap
from gcctl._auto.skipping import Skips, is_too_long, why_skip
from gcctl._auto.stats import Decisions
from gcctl._base.units import duration


class Heap(WholeHeap, Boundaries, Protocol):
    """What the policy collects: the heap of this process, or a simulated one."""

    @property
    def concurrent(self) -> bool:
        """Whether full collections are concurrent, as a rule."""

    def collect(self, generation: int) -> int:
        """Returns the number of unreachable objects found; -1 where another collection runs."""

    def tenure(self) -> bool:
        """Tenure all objects in the three generations, except young garbage: that is collected.
        Returns False where tenuring could not be undone, and so was not done."""


class Generations:
    """Generations 1 ("middle") and 2 ("recent": what came into it since it was last tenured)."""

    def __init__(
        self, heap: Heap, limits: Limits, full: FullCollections, decisions: Decisions
    ) -> None:
        now = heap.now()
        self._heap = heap
        self._limits = limits
        self._full = full
        self._decisions = decisions
        self._seen = heap.tallies()
        self.middle = Debt(MIDDLE, now)
        self.recent = Debt(OLD, now)
        self.debts = (self.middle, self.recent)
        self.middle_skips = Skips()
        self.recent_skips = Skips()
        self.tenured = 0
        """How often objects were tenured."""

    def begin(self, rss: int) -> None:
        """Tenure all that is alive at the start."""
        if self._heap.tenure():
            self.tenured = 1
            self._seen = self._heap.tallies()
        else:  # each collection of generation 2 has to go through all of it
            self.recent.kept_ns = int(rss * NS_PER_BYTE)

    def take_in(self) -> bool:
        """Note the collections since the last call, whoever ran them. True when there were any."""
        before, seen = self._seen, self._heap.tallies()
        if seen == before:
            return False
        self._seen = seen
        now = self._heap.now()
        if seen[OLD].collections + seen[MIDDLE].collections > (
            before[OLD].collections + before[MIDDLE].collections
        ):
            self.middle.clear(now)
        self.middle.add(before[YOUNG], seen[YOUNG])
        self.recent.add(before[MIDDLE], seen[MIDDLE])
        old = seen[OLD].collections - before[OLD].collections
        if old:
            pause = (seen[OLD].pause_total_ns - before[OLD].pause_total_ns) // old
            self.recent.settle(now, pause, kept=True)
        return True

    def note_full_begun(self) -> None:
        """A full collection has begun. It is no collection of generation 2 to take in."""
        self._seen = self._heap.tallies()

    def collect_due(self, *, full_runs: bool, idle: bool) -> None:
        """Collect, or skip, generation 2 or else generation 1, if it is due: never both, so that
        their pauses do not add up."""
        now, limits = self._heap.now(), self._limits
        recent_is_due = self.recent.is_due(now, limits, idle=idle)
        if recent_is_due and self._collect_recent(full_runs, idle):
            return
        if self.middle.is_due(now, limits, idle=idle):
            self._collect_middle(full_runs, idle)

    def _collect_middle(self, full_runs: bool, idle: bool) -> None:
        debt, skips = self.middle, self.middle_skips
        predicted = debt.predicted_ns
        why = why_skip(debt, skips, self._limits.max_pause_ns, full_runs=full_runs, idle=idle)
        if why and self.skip(debt, skips, why):
            return
        pause = self._collect(debt, skips)
        if pause is not None:
            debt.settle(self._heap.now(), pause, kept=False)
            self.recent.owed_ns += pause
            self._decisions.note(MIDDLE, f"collected generation 1: {_compared(pause, predicted)}")

    def _collect_recent(self, full_runs: bool, idle: bool) -> bool:
        """Collect or skip generation 2. False where neither was possible."""
        debt, skips, max_pause_ns = self.recent, self.recent_skips, self._limits.max_pause_ns
        predicted = debt.predicted_ns
        why = why_skip(debt, skips, max_pause_ns, full_runs=full_runs, idle=idle)
        if why:
            if self.skip(debt, skips, why):
                return True
            if self._heap.concurrent and is_too_long(debt, max_pause_ns, idle=idle):
                return False  # the full collection sees to it, and does not stop the process
        if full_runs:  # a collection of generation 2 would make it void
            return False
        pause = self._collect(debt, skips)
        if pause is None:
            return False
        tenured = self._heap.tenure()
        self._seen = self._heap.tallies()
        self.tenured += tenured
        self._full.note_tenured()
        now = self._heap.now()
        self.middle.clear(now)
        debt.settle(now, pause, kept=not tenured)
        done = "collected generation 2" + (" and tenured what it left" if tenured else "")
        self._decisions.note(OLD, f"{done}: {_compared(pause, predicted)}")
        return True

    def _collect(self, debt: Debt, skips: Skips) -> int | None:
        """Returns the pause in nanoseconds; None where another collection prevented it."""
        generation = debt.generation
        collected = self._heap.collect(generation)
        if collected < 0:
            return None
        before, self._seen = self._seen, self._heap.tallies()
        pause = self._seen[generation].pause_total_ns - before[generation].pause_total_ns
        skips.note_found(pause, collected)
        return pause

    def skip(self, debt: Debt, skips: Skips, why: str) -> bool:
        """Tenure the generation and those below it, unchecked. False where nothing is tenured."""
        if not self.tenure_unchecked():
            return False
        skips.note_skipped()
        tenured = f"tenured what was in generation {debt.generation} and below"
        self._decisions.note(debt.generation, f"{tenured}: {why}")
        return True

    def tenure_unchecked(self) -> bool:
        """Tenure all that is in the generations. False where nothing is tenured."""
        if not self._heap.tenure():
            return False
        self._seen = self._heap.tallies()
        self.tenured += 1
        self._full.note_tenured()
        now = self._heap.now()
        self.middle.clear(now)
        self.recent.clear(now)
        self.recent.kept_ns = 0
        return True


def _compared(pause_ns: int, predicted_ns: int) -> str:
    return f"{duration(pause_ns)}, predicted {duration(predicted_ns)}"
