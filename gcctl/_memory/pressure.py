"""Memory pressure: a soft limit, and what is done when memory goes over it.

Going over the limit enters high-memory mode: every generation is collected, freed memory is given
back to the system. In the mode young collections are frequent, and full ones are repeated within a
share of elapsed time for as long as memory stays over the limit. Falling well below the limit
leaves it.
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
"""Part of the limit below which high-memory mode is left: hysteresis, so that memory that hovers
about the limit does not enter and leave it all the time."""

ALERT_AT = 0.9
"""Part of the limit that counts as the limit while the kernel reports stalls for lack of memory."""

STALLED_SHARE = 0.10
"""Share of the last 10 s in which some task was stalled waiting for memory (PSI, "some avg10"),
from which on we are on the alert."""

PATIENCE = 10
"""Looks in a row that find nothing out, until high-memory mode is left for that. Descriptors may be
short for a while."""

LIGHT_EVERY = 10
"""In high-memory mode, checks from one young collection to the next."""

REFRESH_NS = 10**9
"""Limits and stalls are read anew at most this often: control groups change at run time."""

SHORTEST_REPEAT_NS = 10**9
"""Shortest time between two aggressive collections, however quick they are."""

FRUITLESS = 3
"""Aggressive collections that left memory over the limit, in a row, before recycling is advised."""

WORTH_WHILE = 0.05
"""Part of the memory used that an aggressive collection has to free, else the next waits longer;
and part of the limit by which memory has to grow, for it not to wait."""

FRUITFUL_SHARE = 0.5
"""Share of elapsed time for aggressive collections that do bring memory well below the limit, where
`pressure_budget` is less: without them it would grow until the process is killed."""

LEAST_SHARE = 1e-6
"""Less of a budget is none that time could be planned by."""

GENERATIONS = (0, 1, 2)
DID_NOT_RUN = -1


class Listener(NamedTuple):
    """Who is told of what pressure does."""

    high_memory: Callable[[int, str], None]
    """High-memory mode was entered: when, and what there is to say of it."""
    memory_event: Callable[[MemoryEvent], None]
    """An aggressive collection, in the mode or upon entering it."""
    memory_exhausted: Callable[[MemoryEvent], None]
    """The last of several aggressive collections after which memory was still over the limit."""


class Pressure:
    """The soft limit of this process.

    `collect(generation)` collects and returns the unreachable objects found, -1 if it could not.
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
    ) -> None:
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
        # Never waited for: a finalizer, a signal handler or another thread that checks in the
        # middle of a check gets the answer of before.
        self._checking = False
        self._closed = False
        self._patience_ns = _patience_ns()
        self._checks = 0
        self._unknown = 0  # looks in a row at which it could not be told how much is used
        self._refresh_at = now()
        self._allowed_at = now()  # by the budget
        self._repeat_at = self._wanted_at = now()  # an aggressive one, if memory has grown, or not
        self._fruitless = 0
        self._left_bytes = 0  # in use after the last aggressive collection
        self._arm()

    def used(self) -> Used | None:
        return self._limit.used()

    def doubts(self) -> list[str]:
        """What is odd about the limit, for the log."""
        used = self._limit.used()
        if used is None:
            return ["memory_limit cannot be watched: the system does not tell how much is used"]
        if used.bytes > used.limit_bytes:
            return [f"memory_limit is exceeded from the start: {used}"]
        available = [(machine_bytes(), "this machine")]
        available += [
            (group.limit_bytes, group.name) for group in self._groups.groups if not group.meminfo
        ]
        least, whose = min((entry for entry in available if entry[0]), default=(0, ""))
        if used.limit_bytes > least > 0:
            return [
                f"memory_limit {size(used.limit_bytes)} will never be reached: "
                f"{whose} has {size(least)}"
            ]
        return []

    def check(self) -> bool:
        """Look at memory now and do what is called for; whether it is in high-memory mode."""
        # The last of these three is all that there is to do nearly always.
        if self.high or self._now() >= self._refresh_at or self._memory.over():
            return self.refresh_and_check()
        return False

    def refresh_and_check(self) -> bool:
        """As `check`, and see whether the limits have changed."""
        if self._closed:
            return False
        if self._checking:  # with the next line one step: a lock might be left locked by a signal
            return self.high
        self._checking = True
        try:
            self._refresh()
            used = self._limit.used()
            if used is not None:
                self._unknown = 0
                self._act(used)
            else:
                self._unknown += 1
                if self._unknown >= PATIENCE:  # a mode that nothing could end would be one for ever
                    self._leave()
        finally:
            self._checking = False
            self._close_again()
        return self.high

    def close(self) -> None:
        """Look no more, and close what was open."""
        self._closed = True
        self.high = False
        self._memory.close()

    def _close_again(self) -> None:
        """What was read after the uninstalling by another thread has opened it again."""
        if self._closed:
            self._memory.close()

    def after_fork(self) -> None:
        """In the child: not in the mode until it is found to be over the limit itself."""
        self._checking = False
        self._patience_ns = _patience_ns()
        self.entries = 0
        self._leave()

    @property
    def _part(self) -> float:
        return ALERT_AT if self.stalled >= STALLED_SHARE else 1.0

    def _arm(self) -> None:
        self._memory.watch(self._limit.trips(self._part))

    def _refresh(self) -> None:
        now = self._now()
        if now < self._refresh_at:
            return
        self._refresh_at = now + REFRESH_NS
        if self._limit.shared:
            self._groups.refresh()
        self.stalled = self._groups.pressure() or 0.0
        self._arm()

    def _act(self, used: Used) -> None:
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
        finally:  # a signal that raises in the middle must not keep it a secret
            self._tell(entering, event, used, now)

    def _tell(self, entering: bool, event: MemoryEvent | None, used: Used, now: int) -> None:
        """All that is to be told, whether or not telling the one or the other goes wrong."""
        with ExitStack() as last_first:
            if event is not None and self._fruitless >= FRUITLESS:
                last_first.callback(self._listener.memory_exhausted, event)
            if entering:
                last_first.callback(self._listener.high_memory, now, str(event or used))
            if event is not None:
                last_first.callback(self._listener.memory_event, event)

    def _leave(self) -> None:
        self.high = False
        self._checks = 0
        self._fruitless = 0

    def _is_due(self, used: Used, now: int) -> bool:
        """Is it time for another aggressive collection?"""
        grown = used.bytes - self._left_bytes > used.limit_bytes * WORTH_WHILE
        wanted_at = self._repeat_at if grown else self._wanted_at
        return now >= max(self._allowed_at, wanted_at)

    def _pay_for(self, began_ns: int, share: float) -> None:
        """Nothing is to be collected until what took since then is that share of elapsed time."""
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
        finally:  # a signal that raises in the middle must not make it free of charge
            after = self._limit.used() or used
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
        # A heap that is simply full must not be collected for ever: not beyond the budget, and
        # unless it grows, less and less.
        self._pay_for(began_ns, self._budget)
        now = self._now()
        self._repeat_at = self._wanted_at = max(self._allowed_at, now + self._patience_ns)
        if before.bytes - after.bytes < before.bytes * WORTH_WHILE:
            self._wanted_at += (self._repeat_at - now) << min(self._fruitless, 6)


def _patience_ns() -> int:
    """Workers of one group are over its limit at the same moment; they should not all be recycled
    at the same moment."""
    return int(SHORTEST_REPEAT_NS * (1 + random_share()))


_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        log.warning("%s", message)
