"""Memory pressure: a soft limit, and what is done when memory goes over it.

When memory goes over the limit, high-memory mode is entered. Every generation is collected, and
freed memory is given back to the system: an aggressive collection. In the mode young collections
are frequent. Aggressive collections are repeated, within a share of elapsed time, for as long as
memory stays over the limit. When memory falls well below the limit, the mode is left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from gcctl._base import log
from gcctl._base.jitter import random_share
from gcctl._base.units import size
from gcctl._memory.cgroup import MemoryGroups
from gcctl._memory.limits import Limit, Used, machine_bytes
from gcctl._memory.memory_event import MemoryEvent
from gcctl._memory.protocol import Memory

LEAVE_AT = 0.9
"""Part of the limit below which high-memory mode is left. It is less than 1 so that memory that
hovers about the limit does not enter and leave the mode all the time (hysteresis)."""

ALERT_AT = 0.9
"""Part of the limit that counts as the limit while the kernel reports stalls for lack of memory."""

STALLED_SHARE = 0.10
"""Share of the last 10 s in which some task was stalled waiting for memory (PSI, "some avg10").
From this share on, `ALERT_AT` applies."""

UNKNOWN_CHECKS = 10
"""Checks in a row that cannot find out how much is used, after which high-memory mode is left. Not
sooner, because descriptors may be short for a while."""

LIGHT_EVERY = 10
"""In high-memory mode, checks from one young collection to the next."""

REFRESH_NS = 10**9
"""Shortest time between two readings of limits and stalls, which change at run time."""

SHORTEST_REPEAT_NS = 10**9
"""Shortest time between two aggressive collections, however quick they are."""

FRUITLESS = 3
"""Aggressive collections in a row that left memory over the limit, before recycling is advised."""

GROWN = 0.05
"""Part of the limit by which this process must have grown before recycling is advised. What it had
from its start, a fresh one would have too."""

WORTH_WHILE = 0.05
"""Part of the memory in use that an aggressive collection has to free. If it frees less, the next
one waits longer, unless memory has grown by this part of the limit."""

FRUITFUL_SHARE = 0.5
"""Share of elapsed time for aggressive collections that bring memory well below the limit, if
`pressure_budget` is less. Without these collections memory would grow until the process is
killed."""

LEAST_SHARE = 1e-6
"""The smallest budget that time is planned by: with 0 the next collection would never come."""

GENERATIONS = (0, 1, 2)
DID_NOT_RUN = -1


class Listener(NamedTuple):
    """Functions that are called when something happens."""

    high_memory: Callable[[int, str], None]
    """High-memory mode was entered: the time, and a message."""
    memory_event: Callable[[MemoryEvent], None]
    """An aggressive collection has run."""
    memory_exhausted: Callable[[MemoryEvent], None]
    """Several aggressive collections in a row have left memory over the limit, and a fresh process
    would need less of it; this is the last."""


class Pressure:
    """The soft limit of this process.

    `collect(generation)` collects, and returns the number of unreachable objects found; -1 if it
    could not.
    """

    def __init__(
        self,
        limit: Limit,
        groups: MemoryGroups,
        budget: float,
        memory: Memory,
        collect: Callable[[int], int],
        now: Callable[[], int],
        rss: Callable[[], int],
        listener: Listener,
        own: Callable[[], int] | None = None,
    ) -> None:
        """`own()`: the memory that a fresh process would not find there already, in bytes. None: it
        is not known, and taken to be much."""
        self.high = False
        self.entries = 0
        """How often high-memory mode was entered."""
        self.stalled = 0.0
        """Share of the last 10 s in which some task of the group waited for memory."""
        self._limit = limit
        self._groups = groups
        self._budget = budget
        self._memory = memory
        self._collect = collect
        self._now = now
        self._rss = rss
        self._listener = listener
        self._own = own
        # The least since the first check, when the program was loaded.
        self._own_least: int | None = None
        # Nobody waits for a check to end. A finalizer, a signal handler or another thread that
        # checks in the middle of a check gets the answer of the check before.
        self._checking = False
        self._closed = False
        self._shortest_repeat_ns = _shortest_repeat_ns()
        self._checks = 0
        self._unknown = 0  # checks in a row that could not find out how much is used
        self._refresh_at = now()
        self._allowed_at = now()  # by the budget
        # The time of the next aggressive collection, if memory has grown since, and if it has not.
        self._repeat_at = self._wanted_at = now()
        self._fruitless = 0  # aggressive collections in a row that left memory over the limit
        self._left_bytes = 0  # in use after the last aggressive collection
        self._watch()

    def used(self) -> Used | None:
        return self._limit.used()

    @property
    def grown_bytes(self) -> int | None:
        """Growth of this process since it began to work, in memory that a fresh one would not find
        there already; None: not known."""
        if self._own is None or self._own_least is None:
            return None
        return max(self._own() - self._own_least, 0)

    def room_bytes(self) -> int:
        """By how much memory may grow until it is over the limit; 0 where nobody can tell."""
        used = self._limit.used()
        return max(used.limit_bytes - used.bytes, 0) if used is not None else 0

    def doubts(self) -> list[str]:
        """Messages for the log about a limit that cannot work as it should."""
        used = self._limit.used()
        if used is None:
            return ["memory_limit cannot be watched: the system does not tell how much is used"]
        if used.bytes > used.limit_bytes:
            return [f"memory_limit is exceeded from the start: {used}"]
        available = [(machine_bytes(), "this machine")]
        available += [
            (group.limit_bytes, group.name) for group in self._groups.groups if not group.meminfo
        ]
        least, whose = min((pair for pair in available if pair[0]), default=(0, ""))
        if used.limit_bytes > least > 0:
            return [
                f"memory_limit {size(used.limit_bytes)} will never be reached: "
                f"{whose} has {size(least)}"
            ]
        return []

    def check(self) -> bool:
        """Check memory, and collect if it is over the limit. Returns True in high-memory mode."""
        # Nearly always these three conditions are all that a check takes.
        if self.high or self._now() >= self._refresh_at or self._memory.over():
            return self.refresh_and_check()
        return False

    def refresh_and_check(self) -> bool:
        """As `check`, and read limits that may have changed."""
        if self._closed:
            return False
        if self._checking:  # with the next line one step: a lock might be left locked by a signal
            return self.high
        self._checking = True
        try:
            if self._own_least is None and self._own is not None:
                self._own_least = self._own()
            self._refresh()
            used = self._limit.used()
            if used is not None:
                self._unknown = 0
                self._respond(used)
            else:
                self._unknown += 1
                if self._unknown >= UNKNOWN_CHECKS:  # else nothing could ever end the mode
                    self._leave()
        finally:
            self._checking = False
            self._close_again()
        return self.high

    def close(self) -> None:
        """Do not check any more, and close the files."""
        self._closed = True
        self.high = False
        self._memory.close()

    def _close_again(self) -> None:
        """Reading memory opens files again, if another thread has called `close` meanwhile."""
        if self._closed:
            self._memory.close()

    def after_fork(self) -> None:
        """In the child: not in high-memory mode, until a check finds the child over the limit."""
        self._checking = False
        self._own_least = None
        self._shortest_repeat_ns = _shortest_repeat_ns()
        self.entries = 0
        self._leave()

    @property
    def _part(self) -> float:
        """The part of the limit that counts as the limit."""
        return ALERT_AT if self.stalled >= STALLED_SHARE else 1.0

    def _watch(self) -> None:
        self._memory.watch(self._limit.thresholds(self._part))

    def _refresh(self) -> None:
        now = self._now()
        if now < self._refresh_at:
            return
        self._refresh_at = now + REFRESH_NS
        if self._limit.shared:
            self._groups.refresh()
        self.stalled = self._groups.pressure() or 0.0
        self._watch()

    def _respond(self, used: Used) -> None:
        now = self._now()
        entering = not self.high
        if entering and used.share <= self._part:
            return
        if used.share <= self._part * LEAVE_AT:
            self._leave()
            return
        self.high = True
        self._checks += 1
        self.entries += entering
        event = None
        try:
            if used.share > self._part and self._is_due(used, now):
                event = self._aggressive(used)
            elif self._checks % LIGHT_EVERY == 0 and now >= self._allowed_at:
                self._collect(0)
                self._pay_for(now, self._budget)
        finally:  # told even if a signal raises in the middle
            self._tell(entering, event, used, now)

    def _tell(self, entering: bool, event: MemoryEvent | None, used: Used, now: int) -> None:
        """Tell the listener everything, even if one of its functions raises."""
        with ExitStack() as last_first:
            if event is not None and self._fruitless >= FRUITLESS:
                last_first.callback(self._tell_exhausted, event)
            if entering:
                last_first.callback(self._listener.high_memory, now, str(event or used))
            if event is not None:
                last_first.callback(self._listener.memory_event, event)

    def _tell_exhausted(self, event: MemoryEvent) -> None:
        grown = self.grown_bytes
        if grown is None or grown >= event.limit_bytes * GROWN:
            self._listener.memory_exhausted(event)
        else:
            _say_once(
                f"collecting does not help, nor would a fresh process: this one has grown by "
                f"{size(grown)} since it began to work. What is over memory_limit are files in the "
                f"page cache, other processes, or what a fresh one would load again. {event}",
                about="not grown",
            )

    def _leave(self) -> None:
        self.high = False
        self._checks = 0
        self._fruitless = 0

    def _is_due(self, used: Used, now: int) -> bool:
        """Whether it is time for another aggressive collection."""
        grown = used.bytes - self._left_bytes > used.limit_bytes * WORTH_WHILE
        wanted_at = self._repeat_at if grown else self._wanted_at
        return now >= max(self._allowed_at, wanted_at)

    def _pay_for(self, began_ns: int, share: float) -> None:
        """Allow no collection until the time since `began_ns` is this share of elapsed time."""
        now = self._now()
        self._allowed_at = now + int((now - began_ns) * (1 / max(share, LEAST_SHARE) - 1))

    def _aggressive(self, used: Used) -> MemoryEvent:
        began_ns, rss_before = self._now(), self._rss()
        collected = [DID_NOT_RUN] * len(GENERATIONS)
        try:
            for generation in GENERATIONS:
                collected[generation] = self._collect(generation)
            if not self._memory.trim():
                _say_once("freed memory is not given back to the system: no way is known here")
        finally:  # counted against the budget even if a signal raises in the middle
            after = self._limit.used() or used
            if self._own is not None and self._own_least is not None:
                self._own_least = min(self._own_least, self._own())
            self._plan_next(began_ns, used, after, ran=collected[-1] != DID_NOT_RUN)
        young, middle, old = (max(count, 0) for count in collected)
        return MemoryEvent(
            time_ns=began_ns,
            limited=used.what,
            limit_bytes=used.limit_bytes,
            used_before_bytes=used.bytes,
            used_after_bytes=after.bytes,
            rss_before_bytes=rss_before,
            rss_after_bytes=self._rss(),
            collected_by_generation=(young, middle, old),
            took_ns=self._now() - began_ns,
        )

    def _plan_next(self, began_ns: int, before: Used, after: Used, *, ran: bool) -> None:
        self._left_bytes = after.bytes
        if ran:
            self._fruitless = self._fruitless + 1 if after.share > self._part else 0
        if after.share <= self._part * LEAVE_AT:
            self._pay_for(began_ns, max(self._budget, FRUITFUL_SHARE))
            self._repeat_at = self._wanted_at = self._allowed_at
            return
        # A heap that is simply full must not be collected all the time. Its collections stay within
        # the budget, and become rarer and rarer unless it grows.
        self._pay_for(began_ns, self._budget)
        now = self._now()
        self._repeat_at = self._wanted_at = max(self._allowed_at, now + self._shortest_repeat_ns)
        if before.bytes - after.bytes < before.bytes * WORTH_WHILE:
            self._wanted_at += (self._repeat_at - now) << min(self._fruitless, 6)


def _shortest_repeat_ns() -> int:
    """A time that differs between workers.

    Workers of one group are over its limit at the same moment. They should not all be recycled at
    the same moment.
    """
    return int(SHORTEST_REPEAT_NS * (1 + random_share()))


_said: set[str] = set()


def _say_once(message: str, about: str | None = None) -> None:
    """`about`: what counts as the same message, where it has figures."""
    if (about or message) not in _said:
        _said.add(about or message)
        log.warning("%s", message)
