"""Programs that mark no requests: automatic GC collects there, and gcctl spares it some of that.

1. Automatic GC collects all three generations, with the thresholds that `safety_net.py` gives.
2. If a collection of generation 2 takes longer than a quarter of `max_pause`, not counting the time
   to free its garbage, what it left is tenured. The next one does not go through it again.
3. If a collection of generation 2 would take that long, and the collection of generation 1 before
   it found next to nothing, both generations are tenured unchecked.
4. Once something was tenured after the start, collections of generation 1 are skipped by the rule
   of `skipping.py`: what is in generation 1 is tenured before automatic GC would go through it.
5. From then on full collections are due by the rules of `full_collections.py`.

Rules 2 to 4 hold only where tenuring is worth it: most of what is tenured must live, and full
collections must not stop the world.
"""

from __future__ import annotations

from typing import Final

from gcctl._auto.debt import MIDDLE, OLD
from gcctl._auto.full_collections import FullCollections
from gcctl._auto.generations import Generations, Heap
from gcctl._auto.skipping import IN_VAIN, was_in_vain
from gcctl._core.records import Event

FREE_NS: Final = 500
"""About the time that a collection takes to free an unreachable object."""

WORTH_NS: Final = 1_500
"""Tenuring is worth it where collections of generation 2 take more than this for each object that
is freed. Where much of what they go through is garbage they take a third of it; where most of it
lives, several times as much."""


class WithoutRequests:
    """What is tenured for automatic GC, and whether that is worth it."""

    def __init__(
        self, heap: Heap, generations: Generations, full: FullCollections, longest_ns: int
    ) -> None:
        """`longest_ns`: no collection of generation 1 or 2 is let grow beyond this pause."""
        self._heap = heap
        self._generations = generations
        self._full = full
        self._longest_ns = longest_ns
        # Of collections of generation 2, and full ones. What is long ago counts for little.
        self._gone_through_ns = 0
        self._freed = 0

    def note_found(self, gone_through_ns: int, freed: int) -> None:
        """A collection has taken so long to go through generation 2, and has freed so many objects.
        A concurrent full one takes no time for that."""
        self._gone_through_ns = self._gone_through_ns // 2 + gone_through_ns
        self._freed = self._freed // 2 + freed

    @property
    def growth_counts(self) -> bool:
        """Whether growth is a reason for a full collection. It says nothing about tenured objects
        as long as only those of the start are tenured."""
        return self._generations.tenured > 1 and self._stops_nothing

    @property
    def may_need_full(self) -> bool:
        """Whether there may be garbage that only a full collection finds. It is looked for only
        where that does not stop the program, as a rule."""
        return self._heap.concurrent

    @property
    def may_tenure(self) -> bool:
        """Whether tenuring is worth it. It is not where the objects would soon be garbage: a batch
        that drops its objects at its end would need half as much memory again. Nor is it where full
        collections stop the world: one of those takes longer than all that was spared."""
        return self._gone_through_ns > self._freed * WORTH_NS and self._stops_nothing

    @property
    def may_skip_middle(self) -> bool:
        """Whether a collection of generation 1 may be skipped."""
        generations = self._generations
        return generations.middle_skips.left > 0 and generations.tenured > 1 and self.may_tenure

    @property
    def _stops_nothing(self) -> bool:
        """Whether full collections are concurrent, and the last one was."""
        return self._heap.concurrent and not self._full.stopped_world

    def skip_middle(self, threshold: int) -> None:
        """Skip the next collection of automatic GC, if it is one of generation 1 that would be in
        vain. `threshold`: of generation 1."""
        generations = self._generations
        if generations.middle.moves > threshold and self.may_skip_middle:
            generations.skip(generations.middle, generations.middle_skips, IN_VAIN)

    def takes_too_long(self, event: Event) -> bool:
        """Automatic GC has collected: is what it left to be tenured, so that it does not go through
        that again?"""
        if event.generation == OLD:
            self.note_found(event.pause_ns, event.collected)
        if not self.may_tenure:
            return False
        if event.generation == OLD:
            return event.pause_ns - event.collected * FREE_NS >= self._longest_ns
        in_vain = was_in_vain(event.pause_ns, event.collected)
        next_ns = self._generations.recent.predicted_ns
        return event.generation == MIDDLE and in_vain and next_ns >= self._longest_ns
