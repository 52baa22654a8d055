"""The safety net: the thresholds of automatic GC under the policy `auto`.

With these thresholds automatic GC collects only in a request that allocates without end, and in a
program that marks no requests.
"""

from __future__ import annotations

from typing import Final

from gcctl._auto.debt import PART

NS_PER_OBJECT: Final = 60
"""A young collection takes at most so much per live object."""

BYTES_PER_OBJECT: Final = 150
"""Size of an object, to guess from the resident set how many there are."""

YOUNG_SHARE: Final = 0.05
"""Young garbage may take up this part of the resident set."""

LEAST_GROWTH_BYTES: Final = 8 * 2**20
"""The resident set may grow by so much, and it does not count as growth yet."""

FEWEST_YOUNG: Final = 700
LEAST_YOUNG: Final = 5_000
MOST_YOUNG: Final = 10_000
"""The threshold of generation 0 is between the last two, because objects can be large. Where they
were found to be large, it is between the first and the last."""

CPYTHONS_OWN: Final = (2_000, 10, 10)
"""CPython's own from 3.13 on. They are used where the thresholds before gcctl leave automatic GC
off."""

NEVER_BY_ITSELF: Final = 1_000_000_000
"""As the threshold of generation 2: automatic GC runs no full collection."""


class SafetyNet:
    """The thresholds now. They follow the size of young objects, as far as it is known."""

    def __init__(
        self, max_pause_ns: int, budget: float, own: tuple[int, int, int], now_ns: int, rss: int
    ) -> None:
        """`own`: the thresholds before gcctl. `budget`: the share of elapsed time for GC. `rss`:
        the resident set in bytes."""
        self._most_for_pause = max_pause_ns // PART // NS_PER_OBJECT
        self._budget = budget
        self._own = own if own[0] else CPYTHONS_OWN
        self.clear(now_ns, rss)

    def clear(self, now_ns: int, rss: int) -> None:
        """Forget what is known about young objects."""
        self._most = MOST_YOUNG
        self._rss = rss
        self._young = self._own[0]
        self._seen = now_ns, 0

    def thresholds(self) -> tuple[int, int, int]:
        """In a program that marks its requests. As `gc.set_threshold()` takes them."""
        young = min(max(self._most_for_pause, LEAST_YOUNG), MOST_YOUNG)
        return min(young, self._most), 5, NEVER_BY_ITSELF

    def thresholds_at_idle(self) -> tuple[int, int, int]:
        """In a program that marks its requests, while none is in flight."""
        young, middle, old = self.thresholds()
        return min(young, max(self._own[0], FEWEST_YOUNG)), middle, old

    def thresholds_without_requests(self, *, full_runs: bool = False) -> tuple[int, int, int]:
        """In a program that marks no requests. Automatic GC does all the collecting there.

        About as many objects come between two collections of generation 2 as with the thresholds
        before gcctl. `full_runs`: generation 2 is not collected while a concurrent full collection
        runs, because that would make it void.
        """
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
        """`paused_ns`: the time that collections of generations 0 and 1 have taken since the start.

        If they have taken more than the budget since the last call, in a program without requests,
        they come half as often from now on. Young garbage may still take up no more than its share
        of the resident set.
        """
        since_ns, before_ns = self._seen
        self._seen = now_ns, paused_ns
        if paused_ns - before_ns > (now_ns - since_ns) * self._budget:
            most = min(int(rss * YOUNG_SHARE) // BYTES_PER_OBJECT, MOST_YOUNG)
            self._young = max(min(self._young * 2, most), self._young)

    def has_grown(self, rss: int) -> bool:
        """Whether memory has grown so much since the last young collection that it may be young
        garbage."""
        return rss - self._rss > max(rss * YOUNG_SHARE, LEAST_GROWTH_BYTES)

    def note_growth(self, rss: int, collected: int) -> None:
        """Memory had grown, and the young collection after that found so many objects. If they were
        large, automatic GC is to come after fewer objects."""
        if collected > 0 and rss > self._rss:  # a finalizer may have forked
            wanted = max(rss * YOUNG_SHARE, LEAST_GROWTH_BYTES) * collected / (rss - self._rss)
            self._most = min(max(int(wanted), FEWEST_YOUNG), MOST_YOUNG)

    def note_collected(self, rss: int) -> None:
        """A young collection has run. `rss`: the resident set at that time."""
        self._rss = rss

    def note_rss(self, rss: int) -> None:
        self._rss = min(self._rss, rss)

    def relax(self) -> None:
        """Requests end, and memory has not grown: objects may be small again."""
        self._most = min(self._most * 2, MOST_YOUNG)
