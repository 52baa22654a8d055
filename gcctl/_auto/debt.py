"""The debt of generation 1 or 2: how long its collection would take, and when it is due."""

from __future__ import annotations

from typing import Final

from gcctl._core.records import Tally

YOUNG, MIDDLE, OLD = range(3)

PART: Final = 4
"""Collections of one generation may take this part of `gc_budget` together, and this part of
`max_pause` each."""

SHORTEST_NS: Final = {MIDDLE: 10**9, OLD: 10 * 10**9}
"""Shortest time between two collections of a generation, unless the next one would soon be too
long."""


class Limits:
    """What the user allows."""

    def __init__(self, max_pause_ns: int, budget: float) -> None:
        """`budget`: the share of elapsed time that GC may take."""
        self.max_pause_ns = max_pause_ns
        self.budget = budget
        self.longest_ns = max_pause_ns // PART
        """No collection of generation 1 or 2 is let grow beyond this pause."""


class Debt:
    """What a generation owes: the time of the collections that moved objects into it, since it was
    last collected.

    An object comes into generation 1 by a collection of generation 0, and that collection took the
    time to go through it. So the sum of these times is an upper bound for the next pause, and no
    object has to be counted. The ratio of the last real pause to the debt corrects the bound.
    """

    def __init__(self, generation: int, now_ns: int) -> None:
        self.generation = generation
        self.since_ns = now_ns
        self.owed_ns = 0
        self.moves = 0
        """The number of collections that moved objects into the generation."""
        self.kept_ns = 0
        """The last pause, where the objects have stayed in the generation after it."""
        self._ratio = 1.0

    @property
    def predicted_ns(self) -> int:
        """The pause that a collection would take now."""
        return self.kept_ns + int(self.owed_ns * self._ratio)

    def settle(self, now_ns: int, pause_ns: int, *, kept: bool) -> None:
        """The generation was collected. `kept`: its objects are still in it."""
        if self.owed_ns:
            ratio = min(max((pause_ns - self.kept_ns) / self.owed_ns, 0.01), 2.0)
            self._ratio = max(ratio, (self._ratio + ratio) / 2)  # rather too long than too short
        self.kept_ns = pause_ns if kept else 0
        self.clear(now_ns)

    def add(self, before: Tally, after: Tally) -> None:
        """The collections between these two tallies have moved objects into the generation."""
        self.owed_ns += after.pause_total_ns - before.pause_total_ns
        self.moves += after.collections - before.collections

    def clear(self, now_ns: int) -> None:
        """Nothing new is in the generation any more."""
        self.owed_ns = self.moves = 0
        self.since_ns = now_ns

    def is_due(self, now_ns: int, limits: Limits, *, idle: bool) -> bool:
        """A collection is due when its pause fits into the budget of the time since the last one,
        or when it would soon be too long. At idle it is due whenever it fits into `max_pause`."""
        if not self.owed_ns:
            return False
        predicted = self.predicted_ns
        if idle and predicted <= limits.max_pause_ns:
            return True
        if predicted >= limits.longest_ns and not self.kept_ns:
            return True
        elapsed = now_ns - self.since_ns
        shortest = SHORTEST_NS[self.generation]
        return elapsed >= shortest and predicted <= elapsed * limits.budget / PART
