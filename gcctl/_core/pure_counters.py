"""The counters of the pure-Python twin, in place of the structs of csrc/.

In the twin threads may switch between any two calls: see `gcctl._core.pure`.
"""

from __future__ import annotations

from gcctl._core import histogram
from gcctl._core.records import GENERATIONS, Event, GenerationTotals, LastMinute

NEVER_DUE = (1 << 63) - 1


class Schedule:
    """What is due at which request: generations 0, 1 and 2, the report, advice to recycle.

    Unlike the schedule in C it keeps no state, because two threads may ask at once. Only one thread
    asks about the number of a request, so nothing is due twice.
    """

    def __init__(self, every: tuple[int, ...]) -> None:
        self.every = every

    def due(self, request: int) -> list[bool]:
        return [turn > 0 and request % turn == 0 for turn in self.every]

    def nearest(self, request: int) -> int:
        """The first request after this one at which something is due."""
        nearest = NEVER_DUE
        for turn in self.every:
            if turn and request - request % turn + turn < nearest:
                nearest = request - request % turn + turn
        return nearest


class Totals:
    """All collections of one generation."""

    def __init__(self) -> None:
        self.collections = 0
        self.collected = 0
        self.pause_total_ns = 0
        self.pause_max_ns = 0
        self.pauses = [0] * histogram.BUCKETS

    def add(self, event: Event) -> None:
        self.collections += 1
        self.collected += event.collected
        self.pause_total_ns += event.pause_ns
        if event.pause_ns > self.pause_max_ns:  # max() would be a call
            self.pause_max_ns = event.pause_ns
        bucket = histogram.bucket_of(event.pause_ns)
        self.pauses[bucket] += 1

    def merge(self, more: Totals) -> None:
        self.collections += more.collections
        self.collected += more.collected
        self.pause_total_ns += more.pause_total_ns
        self.pause_max_ns = max(self.pause_max_ns, more.pause_max_ns)
        self.pauses = [a + b for a, b in zip(self.pauses, more.pauses, strict=True)]

    def as_tuple(self) -> GenerationTotals:
        pauses = tuple((bucket, count) for bucket, count in enumerate(self.pauses) if count)
        return GenerationTotals(
            self.collections, self.collected, self.pause_total_ns, self.pause_max_ns, pauses
        )


class Slot:
    """The collections of a few seconds."""

    def __init__(self, number: int) -> None:
        self.number = number  # time in units of the slot's length
        self.collections = [0] * GENERATIONS
        self.all = Totals()


class LastMinuteSlots:
    """The last minute in slots of a few seconds, which are replaced in turn."""

    SLOTS = 12
    SLOT_NS = 5 * 10**9

    def __init__(self) -> None:
        self.slots = [Slot(0) for _ in range(self.SLOTS)]

    def add(self, event: Event) -> None:
        number = event.time_ns // self.SLOT_NS
        slot = self.slots[number % self.SLOTS]
        if slot.number != number:
            slot = self.slots[number % self.SLOTS] = Slot(number)
        slot.collections[event.generation] += 1
        slot.all.add(event)

    def sum(self, now_ns: int) -> LastMinute:
        now = now_ns // self.SLOT_NS
        collections, totals = [0] * GENERATIONS, Totals()
        for slot in self.slots:
            if now - self.SLOTS < slot.number <= now:
                collections = [a + b for a, b in zip(collections, slot.collections, strict=True)]
                totals.merge(slot.all)
        young, middle, old = collections
        return LastMinute((young, middle, old), totals.as_tuple())
