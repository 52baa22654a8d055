"""The pure-Python twin of compiled_collector.pxi: collections run, timed and noticed.

Why things are done in this order is said there.
"""

from __future__ import annotations

import gc
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from gcctl._core.protocol import NEVER, Notify, Orders
from gcctl._core.pure_counters import NEVER_DUE
from gcctl._core.pure_recorder import CONCURRENT, Recorder
from gcctl._core.records import GENERATIONS, REASONS, Event

NONE_DUE = -1
DID_NOT_RUN = -1
YOUNG = 0
FULL = 2
SCHEDULED = REASONS.index("scheduled")
AUTOMATIC = REASONS.index("automatic")
EXPLICIT = REASONS.index("explicit")


def _allocation_count() -> int:
    return gc.get_count()[0]


class Collector(Recorder):
    """A part of `gcctl._core.pure.Core`."""

    def __init__(self, collect: Any, clock: Any, count: Any, callbacks: Any) -> None:
        super().__init__(clock)
        self._run_collector = collect or gc.collect
        self._count = count or _allocation_count
        self._callbacks: list[Any] = gc.callbacks if callbacks is None else callbacks
        self._callback = self.on_gc  # always this very object
        self._callback_wanted = False
        self._in_flight = 0
        self._young_after = NEVER
        self._external = False
        self._tell_external = False
        self._own_thread = 0
        self._own_seen = False  # our callback saw our own collection start: it did run
        self._external_thread = 0
        self._external_start_ns = 0
        self._external_in_flight = 0
        self._external_reason = AUTOMATIC
        self._explicit_thread = 0  # is about to collect explicitly
        self._told_of_explicit = False  # explicit() is called for gc.collect()
        self._simulated = collect is not None
        self.forks = 0  # between this process and the one that has imported gcctl
        self._holds = 0

    def collect(self, generation: int, reason: int, action: Callable[[], int] | None = None) -> int:
        if not 0 <= generation < GENERATIONS or not 0 <= reason < len(REASONS):
            raise ValueError(f"no such generation or reason: {generation}, {reason}")
        event = self._collect(generation, reason, action)
        if event is None:
            return DID_NOT_RUN
        self._note_long_pause(event)
        return event.collected

    def explicit(self, on: bool) -> None:
        self._told_of_explicit = True
        self._explicit_thread = get_ident() if on else 0

    def attached(self) -> bool:
        return self._position() >= 0 or self._own_thread != 0

    def collecting(self) -> bool:
        return self._own_thread != 0 or self._external_thread != 0

    def busy_elsewhere(self) -> bool:
        if self._own_thread:
            return self._own_thread != get_ident()
        if self._external_thread == get_ident():
            return False
        return not self._collector_is_free()

    def hold(self) -> None:
        self._holds += 1

    def release(self) -> None:
        if self._holds > 0:
            self._holds -= 1

    def on_gc(self, phase: str, info: dict[str, int], /) -> None:
        """Our gc callback. No lock, no exception: it runs in the middle of anything."""
        if self._own_thread == get_ident():
            self._own_seen = True
        elif phase == "start":
            value = info.get("generation")
            generation = value if type(value) is int else -1
            self._external_reason = self._reason_of_external(generation)
            self._note_allocated()
            self._external_in_flight = self._in_flight
            self._external_thread = get_ident()
            explicit = self._external_reason == EXPLICIT
            if self._tell_external and explicit and generation == FULL:
                self._tell("explicit_full", None)
            self._external_start_ns = self._now()
        elif self._external_thread:
            self._record_external(self._now() - self._external_start_ns, info)
            # The last thing done: another thread must not take the collector for free before it is.
            self._external_thread = 0

    def _set_orders(self, orders: Orders, notify: Notify) -> None:
        self._max_pause_ns = orders.max_pause_ns
        self._young_after = orders.young_after
        self._external = orders.external
        self._tell_external = orders.tell_external
        self._notify = notify

    def _attach(self) -> None:
        self._callback_wanted = True
        if self._position() < 0:
            self._callbacks.append(self._callback)

    def _detach(self) -> bool:
        """False when somebody had removed our callback meanwhile."""
        self._young_after = NEVER
        self._notify = None
        position = self._position()
        as_left = position >= 0 or not self._callback_wanted or self._own_thread != 0
        if position >= 0:
            del self._callbacks[position]
        self._callback_wanted = False
        return as_left

    def _forget_the_parent(self) -> None:
        """In the child: the requests, the threads and the holds were the parent's."""
        me = get_ident()
        self._in_flight = 0
        self.forks += 1
        self._holds = 0
        if self._own_thread != me:
            self._own_thread = 0
        if self._external_thread != me:
            self._external_thread = 0

    def _reason_of_external(self, generation: int) -> int:
        """Why a collection begins that gcctl did not cause."""
        if self._explicit_thread == get_ident():
            return EXPLICIT
        if self._simulated or (self._told_of_explicit and generation != FULL):
            return AUTOMATIC
        if not 0 <= generation < GENERATIONS or not gc.isenabled():
            return EXPLICIT
        counts, thresholds = gc.get_count(), gc.get_threshold()
        if counts[0] > thresholds[0] or counts[generation] > thresholds[generation]:
            return AUTOMATIC
        return EXPLICIT

    def _record_external(self, pause_ns: int, info: dict[str, int]) -> None:
        # All callbacks share this dict, and may have put anything into it.
        generation, collected = info.get("generation"), info.get("collected")
        if type(generation) is not int or type(collected) is not int:
            return
        if self._external and 0 <= generation < GENERATIONS and 0 <= collected < NEVER_DUE:
            start_ns, in_flight = self._external_start_ns, self._external_in_flight
            reason = self._external_reason
            event = Event(start_ns, pause_ns, generation, collected, REASONS[reason], in_flight)
            self._record(event, reason)
            self._note_long_pause(event)
            if self._tell_external:
                self._tell("external", event)

    def _note_allocated(self) -> None:
        """A collection begins, which sets the interpreter's count to 0."""
        if self._young_after:
            count = self._count()
            self._allocated += count

    def _collect(
        self, generation: int, reason: int, action: Callable[[], int] | None
    ) -> Event | None:
        """Collect and record; None when a collection already running made it impossible."""
        callbacks, hidden, me = self._callbacks, False, get_ident()
        # With the next assignment one step: nothing is called in between.
        if self._own_thread or (self._holds and reason <= CONCURRENT):
            return None
        self._own_thread = me
        try:
            in_flight = self._in_flight
            watching = self._position() >= 0
            alone = watching and len(callbacks) == 1 and not self._external_thread
            # A signal handler may have uninstalled since; from here to the pop is one step.
            if alone and callbacks and callbacks[-1] is self._callback:
                hidden, watching = True, False
                callbacks.pop()
            self._own_seen = False
            self._note_allocated()
            time_ns = self._now()
            if action is not None:
                collected = action()
                self._own_seen = collected >= 0
            else:
                collected = self._run_collector(generation)
            pause_ns = self._now() - time_ns
        finally:
            self._own_thread = 0
            if hidden and self._callback_wanted and self._position() < 0:
                callbacks.append(self._callback)
        if not self._own_seen and (watching or action is not None):
            return None
        if action is None:
            self._external_thread = 0
        event = Event(time_ns, pause_ns, generation, collected, REASONS[reason], in_flight)
        self._record(event, reason)
        return event

    def _collector_is_free(self) -> bool:
        """Does a collection run when one is asked for? Not while another does."""
        absent = self._position() < 0
        me = get_ident()
        if self._own_thread:  # one step, as in _collect
            return False
        self._own_thread = me
        self._own_seen = False
        try:
            if absent:
                self._callbacks.append(self._callback)
            self._run_collector(0)
        finally:
            self._own_thread = 0
            if absent and self._position() >= 0:
                del self._callbacks[self._position()]
        if self._own_seen:
            self._external_thread = 0
        return self._own_seen

    def _position(self) -> int:
        """Where our callback is in the list, by identity (others' == may do anything); or -1."""
        for position, callback in enumerate(self._callbacks):
            if callback is self._callback:
                return position
        return -1
