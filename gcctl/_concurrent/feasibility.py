"""Whether the next full collection should be concurrent, or stop the world."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gcctl._concurrent.collection import ConcurrentCollection

if TYPE_CHECKING:
    from gcctl._memory.cgroup import MemoryGroups

SMALLEST_OBJECT = 48
"""Bytes of the smallest object that can be in a cycle, including its header."""

TABLES_PER_OBJECT = 32
"""Bytes per tracked object. The child needs less for all of its tables together."""

WRITTEN_SHARE = 0.1
"""The process is expected to write to this share of the resident set while the child runs. The
kernel copies those pages."""

FASTEST_NS_PER_OBJECT = 60
"""A full collection that stops the world takes at least so much per tracked object."""

SHORT_START_NS = 10_000_000
"""If the start is expected to stop the process for less than this, it is always short enough."""

GROWN = 1.5
"""If the resident set has grown to so many times its size, the number of objects is not known any
more."""

STARTS_KEPT = 4
"""The next start is expected to take as long as the fastest of so many last ones, per byte."""

FAILURES = 2
"""After so many void collections in a row, full collections stop the world for `BACK_OFF_NS`."""

BACK_OFF_NS = 600 * 10**9


class Feasibility:
    """Expects of the next collection what was measured in the last ones."""

    def __init__(self) -> None:
        self._groups: MemoryGroups | None = None
        self._tracked = 0
        self._tracked_rss = 0  # the resident set when that was counted
        self._started_rss = 0  # the resident set when the last child was made
        self._start_ns_per_byte: deque[float] = deque(maxlen=STARTS_KEPT)
        self._stop_ns = 0
        self._failures = 0  # void collections in a row
        self._not_before_ns = -(2**63)
        self._why_not = ""

    def capacity(self, rss: int) -> tuple[int, int]:
        """For a process with that resident set in bytes: the number of candidates that the answer
        has room for, and the bytes that the child may take for its tables."""
        self._forget_if_grown(rss)
        tracked = self._tracked * 2 or rss // SMALLEST_OBJECT
        return max(rss // SMALLEST_OBJECT, 1), 2**24 + tracked * TABLES_PER_OBJECT

    def why_not(self, rss: int, now_ns: int) -> str:
        """Why the world should be stopped instead; "": a concurrent collection is feasible."""
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
        expected = min(self.capacity(rss)[1], rss // 4) + int(rss * WRITTEN_SHARE) + 2**24
        if available_bytes(self._groups) < expected:
            return "too little memory is free"
        return ""

    def _forget_if_grown(self, rss: int) -> None:
        """What was measured on a much smaller heap says nothing about this one."""
        if rss > self._tracked_rss * GROWN:
            self._tracked = self._stop_ns = 0
            self._tracked_rss = rss

    def note_start(self, rss: int, start_ns: int) -> None:
        """A child was made. That has stopped the process for so long."""
        self._started_rss = rss
        self._start_ns_per_byte.append(start_ns / max(rss, 1))

    def note_stop(self, pause_ns: int) -> None:
        """The world was stopped instead."""
        self._stop_ns = pause_ns
        if self._start_ns_per_byte:  # else no start would ever be measured again
            self._start_ns_per_byte.popleft()

    def note_end(self, collection: ConcurrentCollection, now_ns: int) -> None:
        """A concurrent collection has ended."""
        if collection.measured.tracked_objects:
            self._tracked = collection.measured.tracked_objects
            self._tracked_rss = self._started_rss
        if collection.outcome == "collected":
            self._failures = 0
        elif collection.failed:
            self._failures += 1
            if self._failures >= FAILURES:  # else garbage could pile up for ever
                self._not_before_ns = now_ns + BACK_OFF_NS
                self._why_not = f"the last ones were {collection.outcome}"
