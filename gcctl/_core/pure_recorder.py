"""The pure-Python twin of compiled_recorder.pxi: what is kept of the collections, who is told.

Why things are done in this order is said there.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from gcctl._base.clock import monotonic
from gcctl._base.log import log_fault
from gcctl._core.protocol import Kind, Notify
from gcctl._core.pure_counters import NEVER_DUE, LastMinuteSlots, Totals
from gcctl._core.records import GENERATIONS, REASONS, RING_SIZE, Event, Tally

CONCURRENT = REASONS.index("concurrent")


class Recorder:
    """A part of `gcctl._core.pure.Core`."""

    _allocated: int  # net, up to the last collection
    _faults: int
    _long_pause: Event | None  # the longest away from boundaries, not told of yet
    _events: deque[Event]

    def __init__(self, clock: Any) -> None:
        self._now = clock or monotonic.now_ns
        self._active = False
        self._due_at_request = NEVER_DUE  # number of the request with something to do
        self._notify: Notify | None = None
        self._max_pause_ns = 0
        self._clear_records()

    def tallies(self) -> tuple[Tally, ...]:
        return tuple(self._tallies)

    def paused_ns(self) -> int:
        return sum([totals.pause_total_ns for totals in self._totals])

    def allocated(self) -> int:
        return self._allocated

    def events(self) -> tuple[Event, ...]:
        # tuple() makes objects while it iterates. So it may itself set off a collection, which
        # would be recorded.
        return tuple(self._events.copy())

    def now(self) -> int:
        return int(self._now())

    def tell_long_pause(self) -> None:
        event, self._long_pause = self._long_pause, None
        if event is not None:
            self._tell("long_pause", event)

    def _clear_records(self) -> None:
        self._allocated = 0
        self._faults = 0
        self._long_pause = None
        self._last_minute = LastMinuteSlots()
        self._by_reason = [0] * len(REASONS)
        self._totals = [Totals() for _ in range(GENERATIONS)]
        self._tallies = [Tally()] * GENERATIONS
        self._events = deque(maxlen=RING_SIZE)

    def _record(self, event: Event, reason: int) -> None:
        self._totals[event.generation].add(event)
        ran, collected, pause_ns = self._tallies[event.generation]
        if reason != CONCURRENT:
            ran, pause_ns = ran + 1, pause_ns + event.pause_ns
        self._tallies[event.generation] = Tally(ran, collected + event.collected, pause_ns)
        self._last_minute.add(event)
        self._by_reason[reason] += 1
        self._events.append(event)

    def _note_long_pause(self, event: Event) -> None:
        """To be told of at the next boundary."""
        known = self._long_pause.pause_ns if self._long_pause is not None else 0
        if event.pause_ns > self._max_pause_ns and event.pause_ns > known:
            self._long_pause = event
            if self._active:
                self._due_at_request = 0

    def _tell(self, kind: Kind, event: Event | None) -> None:
        """Notify. What goes wrong there must not reach the request."""
        notify = self._notify
        if notify is None:
            return
        try:
            notify(kind, event)
        except Exception:
            self._faults += 1
            if self._faults == 1:
                log_fault()
