"""The thresholds of automatic GC under the policy `auto`.

It strikes only in a request that allocates without end, or in a program that marks no requests.
"""

from __future__ import annotations

from typing import Final

from gcctl._auto.debt import PART

NS_PER_OBJECT: Final = 60
"""What it takes at most, per object that is alive."""

BYTES_PER_OBJECT: Final = 150
"""Of the resident set, where nobody has counted the objects."""

YOUNG_SHARE: Final = 0.05
"""Part of the resident set that young garbage may take up."""

LEAST_GROWTH_BYTES: Final = 8 * 2**20
"""Growth of the resident set that is none yet."""

FEWEST_YOUNG: Final = 700
LEAST_YOUNG: Final = 5_000
MOST_YOUNG: Final = 10_000
"""The threshold of generation 0 is between the last two: objects can be large. From the first on
where they were found to be."""

CPYTHONS_OWN: Final = (2_000, 10, 10)
"""From 3.13 on; where those that were found leave automatic GC off."""

NEVER_BY_ITSELF: Final = 1_000_000_000
"""The threshold of generation 2: no full collection but those that are asked for."""

FAST_NS: Final = 10**9
"""How long memory is looked at more often after it has grown by that much between two looks."""


class SafetyNet:
    """The thresholds now, from what young objects were found to be like."""

    def __init__(
        self, max_pause_ns: int, budget: float, own: tuple[int, int, int], now_ns: int, rss: int
    ) -> None:
        """`own`: the thresholds that were found. `budget`: the share of elapsed time for GC."""
        self._most_for_pause = max_pause_ns // PART // NS_PER_OBJECT
        self._budget = budget
        self._own = own if own[0] else CPYTHONS_OWN
        self.clear(now_ns, rss)

    def clear(self, now_ns: int, rss: int) -> None:
        """Nothing is known of them."""
        self._most = MOST_YOUNG
        self._rss = rss
        self._fast_until_ns = 0
        self._young = self._own[0]
        self._seen = now_ns, 0

    def thresholds(self) -> tuple[int, int, int]:
        """As `gc.set_threshold()` takes them, in a program that marks its requests."""
        young = min(max(self._most_for_pause, LEAST_YOUNG), MOST_YOUNG)
        return min(young, self._most), 5, NEVER_BY_ITSELF

    def thresholds_at_idle(self) -> tuple[int, int, int]:
        """In one that does, while none is in flight."""
        young, middle, old = self.thresholds()
        return min(young, max(self._own[0], FEWEST_YOUNG)), middle, old

    def thresholds_without_requests(self, *, full_runs: bool = False) -> tuple[int, int, int]:
        """In one that does not: automatic GC does it all there, its own way. About as many objects
        as with its own thresholds come between two collections of generation 2; none comes while a
        concurrent full collection runs, which it would make void."""
        young, middle, old = self._own
        if self._young > young:
            own = young * (max(middle, 0) + 2) * (max(old, 0) + 1)
            middle = max(middle * young // self._young, min(middle, 5), 0)
            # CPython collects generation 1 as every (threshold + 2)th, and generation 2 after
            # threshold + 1 of those.
            about = round(own / (self._young * (middle + 2))) - 1
            old = min(max(about, 1), old)
        return self._young, middle, NEVER_BY_ITSELF if full_runs else old

    def note_time(self, now_ns: int, paused_ns: int, rss: int) -> None:
        """The time now, and what collections of young objects have taken of it since the start.

        Where that is more than the budget, in a program without requests, they come half as often:
        as long as young garbage takes up no more than its share of the resident set.
        """
        since_ns, before_ns = self._seen
        self._seen = now_ns, paused_ns
        if paused_ns - before_ns > (now_ns - since_ns) * self._budget:
            most = min(int(rss * YOUNG_SHARE) // BYTES_PER_OBJECT, MOST_YOUNG)
            self._young = max(min(self._young * 2, most), self._young)

    def has_grown(self, rss: int) -> bool:
        """So much since the last young collection that young garbage may be what it was."""
        return rss - self._rss > max(rss * YOUNG_SHARE, LEAST_GROWTH_BYTES)

    def note_growth(self, now_ns: int, rss: int, collected: int) -> None:
        """It has; so many objects were garbage. If they were large, fewer are to come together."""
        self._fast_until_ns = now_ns + FAST_NS
        if collected > 0 and rss > self._rss:  # a finalizer may have forked
            wanted = max(rss * YOUNG_SHARE, LEAST_GROWTH_BYTES) * collected / (rss - self._rss)
            self._most = min(max(int(wanted), FEWEST_YOUNG), MOST_YOUNG)

    def note_collected(self, rss: int) -> None:
        """A young collection, when the resident set was that."""
        self._rss = rss

    def note_rss(self, rss: int) -> None:
        self._rss = min(self._rss, rss)

    def relax(self) -> None:
        """Requests end, and memory has not grown."""
        self._most = min(self._most * 2, MOST_YOUNG)

    def is_stretched(self, now_ns: int) -> bool:
        """Has memory grown so much between two looks that the next one is wanted at once?"""
        return now_ns < self._fast_until_ns
