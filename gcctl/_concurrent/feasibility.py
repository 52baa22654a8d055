"""Whether a full collection had better be concurrent this time, or stop the world."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gcctl._concurrent.collection import ConcurrentCollection

if TYPE_CHECKING:
    from gcctl._memory.cgroup import MemoryGroups

SMALLEST_OBJECT = 48
"""Bytes of the smallest object that can be in a cycle, with its header."""

TABLES_PER_OBJECT = 32
"""Bytes: more than the child needs for its tables, of all kinds, per tracked object."""

WRITTEN_SHARE = 0.1
"""Of the resident set: what the process is expected to write to while the child runs, and so to
have copied."""

FASTEST_NS_PER_OBJECT = 60
"""What a stop-the-world full collection takes at least, per tracked object."""

SHORT_START_NS = 10_000_000
"""A start that is expected to stop the process for less than this is not compared with anything."""

GROWN = 1.5
"""A resident set so many times as large as before may have any number of objects in it."""

STARTS_KEPT = 4
"""Of so many starts the fastest tells what the next one is expected to take."""

FAILURES = 2
"""So many void collections in a row are followed by ones that stop the world, for `BACK_OFF_NS`."""

BACK_OFF_NS = 600 * 10**9


class Feasibility:
    """What the next collection is expected to take, from the last ones."""

    def __init__(self) -> None:
        self._groups: MemoryGroups | None = None
        self._tracked = 0
        self._tracked_rss = 0  # the resident set when that was counted
        self._started_rss = 0  # and when the last child was made
        self._start_ns_per_byte: deque[float] = deque(maxlen=STARTS_KEPT)
        self._stop_ns = 0
        # Of those in a row that were void.
        self._failures = 0
        self._not_before_ns = -(2**63)
        self._why_not = ""

    def room(self, rss: int) -> tuple[int, int]:
        """For a process of that size: candidates that there is to be room for, and bytes that the
        child may take for its tables."""
        self._forget_if_grown(rss)
        tracked = self._tracked * 2 or rss // SMALLEST_OBJECT
        return max(rss // SMALLEST_OBJECT, 1), 2**24 + tracked * TABLES_PER_OBJECT

    def doubt(self, rss: int, now_ns: int) -> str:
        """Why the world had better be stopped; or ""."""
        if now_ns < self._not_before_ns:
            return self._why_not
        self._forget_if_grown(rss)
        start_ns = rss * min(self._start_ns_per_byte, default=0)
        stop_ns = self._stop_ns or self._tracked * FASTEST_NS_PER_OBJECT
        if stop_ns and start_ns > max(stop_ns, SHORT_START_NS):
            return "making the child would take longer than to stop the world"
        # Only now: a process may never have a full collection.
        from gcctl._memory.cgroup import MemoryGroups
        from gcctl._memory.limits import available_bytes

        if self._groups is None:
            self._groups = MemoryGroups()
        self._groups.refresh()
        expected = min(self.room(rss)[1], rss // 4) + int(rss * WRITTEN_SHARE) + 2**24
        if available_bytes(self._groups) < expected:
            return "too little memory is free"
        return ""

    def _forget_if_grown(self, rss: int) -> None:
        """What is known of a much smaller heap says nothing."""
        if rss > self._tracked_rss * GROWN:
            self._tracked = self._stop_ns = 0
            self._tracked_rss = rss

    def started(self, rss: int, start_ns: int) -> None:
        """A child was made, which stopped the process that long."""
        self._started_rss = rss
        self._start_ns_per_byte.append(start_ns / max(rss, 1))

    def stopped(self, pause_ns: int) -> None:
        """The world was stopped instead."""
        self._stop_ns = pause_ns
        if self._start_ns_per_byte:  # else starts would never be measured anew
            self._start_ns_per_byte.popleft()

    def ended(self, collection: ConcurrentCollection, now_ns: int) -> None:
        if collection.measured.tracked_objects:
            self._tracked = collection.measured.tracked_objects
            self._tracked_rss = self._started_rss
        if collection.outcome == "collected":
            self._failures = 0
        elif collection.failed:
            self._failures += 1
            if self._failures >= FAILURES:  # else memory could grow for ever
                self._not_before_ns = now_ns + BACK_OFF_NS
                self._why_not = f"the last ones were {collection.outcome}"
