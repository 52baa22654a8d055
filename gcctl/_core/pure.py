"""The pure-Python twin of `gcctl._core.compiled`: the same Protocol, the same answers, no compiler.

What each function promises is said once, in `gcctl._core.protocol.Core`; why things are done in
this order, in `compiled.pyx`.

Thread safety: CPython switches threads at calls and at backward jumps only, so an augmented
assignment of an attribute is one step, as long as nothing is called in it. The counting below keeps
to that.
"""

from __future__ import annotations

import gc
import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from gcctl._base.faults import log_fault
from gcctl._core.protocol import NEVER, Kind, Notify, Orders
from gcctl._core.pure_entry import Entry
from gcctl._core.pure_recorder import NEVER_DUE, Schedule, TheLastMinute, Totals
from gcctl._core.records import GENERATIONS, REASONS, RING_SIZE, ByReason, Event, Snapshot, Tally
from gcctl._core.request import RequestContext, decorate, make_context

NONE_DUE = -1
DID_NOT_RUN = -1
YOUNG = 0
FULL = 2
SCHEDULED, EMERGENCY, _, CONCURRENT, _, EXTERNAL = range(len(REASONS))
NOT_GIVEN = object()


def _allocation_count() -> int:
    return gc.get_count()[0]


class Core:
    implementation: Literal["c", "python"] = "python"

    def __init__(
        self, *, collect: Any = None, clock: Any = None, count: Any = None, callbacks: Any = None
    ) -> None:
        self._run_collector = collect or gc.collect
        self._now = clock or time.perf_counter_ns
        self._count = count or _allocation_count
        self._callbacks: list[Any] = gc.callbacks if callbacks is None else callbacks
        self._callback = self.on_gc  # always this very object
        self._joined = False
        self.forks = 0  # between this process and the one that has imported gcctl
        self._context = make_context(self.enter, self.exit)
        self._in_flight = 0
        self._requests = 0
        self._unmatched_exits = 0
        self._young_after = NEVER
        self._active = False
        self._external = False
        self._tell_external = False
        self._concurrent = False
        self._notify: Notify | None = None
        self._max_pause_ns = 0
        self._emergency_interval_ns = -1
        self._emergency_generation = FULL
        self._check_interval_ns = -1
        self._check_at = NEVER_DUE
        self._schedule = Schedule((0, 0, 0, 0, 0))
        self._own_thread = 0
        self._own_seen = False  # our callback saw our own collection start: it did run
        self._external_thread = 0
        self._external_start_ns = 0
        self._external_in_flight = 0
        self._holds = 0
        self._long_pause: Event | None = None  # the longest away from boundaries, untold
        self._clear()

    def request(self, func: Any = None, /) -> Any:
        if func is None:
            return self._context
        return decorate(self._context, func)

    def enter(self, context: Any = None, /) -> RequestContext:
        self._in_flight += 1
        return self._context

    def exit(
        self, exc_type: Any, exc: Any, traceback: Any, behind_context: Any = NOT_GIVEN, /
    ) -> None:
        if behind_context is not NOT_GIVEN:
            exc_type = exc
        if self._in_flight <= 0:
            self._unmatched_exits += 1
            return
        self._in_flight -= 1
        self._requests = request = self._requests + 1
        if exc_type is not None or self._something_is_due(request):
            self._boundary(request, exc_type)

    def begin(self) -> Entry:
        return Entry(self)

    def due(self) -> bool:
        return self._something_is_due(self._requests + 1)

    def tick(self) -> None:
        self._requests = request = self._requests + 1
        if self._something_is_due(request):
            self._boundary(request, None)

    def start(self, orders: Orders, notify: Notify) -> None:
        self._max_pause_ns = orders.max_pause_ns
        self._emergency_interval_ns = orders.emergency_interval_ns
        self._emergency_generation = orders.emergency_generation
        self._young_after = orders.young_after
        self._check_interval_ns = orders.check_interval_ns
        self._external = orders.external
        self._tell_external = orders.tell_external
        self._concurrent = orders.concurrent
        self._notify = notify
        self._schedule = Schedule((*orders.every, orders.report_every, orders.recycle_after))
        self._clear()
        self._activate()
        self._joined = True
        if self._position() < 0:
            self._callbacks.append(self._callback)

    def stop(self) -> bool:
        self._active = self._sweeping = False
        self._due_at = self._check_at = NEVER_DUE
        self._young_after = NEVER
        self._notify = None
        position = self._position()
        as_left = position >= 0 or not self._joined or self._own_thread != 0
        if position >= 0:
            del self._callbacks[position]
        self._joined = False
        return as_left

    def collect(self, generation: int, reason: int, action: Callable[[], int] | None = None) -> int:
        if not 0 <= generation < GENERATIONS or not 0 <= reason < len(REASONS):
            raise ValueError(f"no such generation or reason: {generation}, {reason}")
        event = self._collect(generation, reason, action)
        if event is None:
            return DID_NOT_RUN
        self._note_long_pause(event)
        return event.collected

    def freeze(self) -> int:
        collected = self.collect(YOUNG, SCHEDULED)
        gc.freeze()
        return collected

    def want_sweep_steps(self, on: bool) -> None:
        self._sweeping = on
        if on and self._active:
            self._due_at = 0

    def check_after(self, intervals: int) -> None:
        if self._active and self._check_interval_ns >= 0:
            later = self._now() + intervals * self._check_interval_ns
            self._check_at = later if intervals else 0

    def snapshot(self) -> Snapshot:
        # One that is being recorded is in some of the counters only: then look again. Not for ever:
        # a signal that raised in the middle of recording leaves them apart for good.
        for _ in range(100):
            recorded = sum(self._by_reason)
            snapshot = Snapshot(
                self._requests if self._active else 0,
                self._failures,
                self._in_flight,
                self._unmatched_exits,
                self._faults,
                ByReason(*self._by_reason),
                tuple(totals.as_tuple() for totals in self._totals),
                self._last_minute.sum(self._now()),
            )
            if recorded == sum(total.collections for total in snapshot.generations):
                break
            time.sleep(0)  # else the one that records would have no turn
        return snapshot

    def tallies(self) -> tuple[Tally, ...]:
        return tuple(self._tallies)

    def paused_ns(self) -> int:
        return sum([totals.pause_total_ns for totals in self._totals])

    def allocated(self) -> int:
        return self._allocated

    def boundaries(self) -> int:
        return self._requests

    def in_flight(self) -> int:
        return self._in_flight

    def events(self) -> tuple[Event, ...]:
        # tuple() makes objects while it iterates, and so may itself set off a collection, which
        # would be recorded.
        return tuple(self._events.copy())

    def now(self) -> int:
        return int(self._now())

    def tell_long_pause(self) -> None:
        event, self._long_pause = self._long_pause, None
        if event is not None:
            self._tell("long_pause", event)

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

    def after_fork(self) -> None:
        me = get_ident()
        self._in_flight = 0
        self.forks += 1
        self._holds = 0
        if self._own_thread != me:
            self._own_thread = 0
        if self._external_thread != me:
            self._external_thread = 0
        self._schedule = Schedule(self._schedule.every)
        self._clear()
        if self._active:
            self._activate()

    def on_gc(self, phase: str, info: dict[str, int], /) -> None:
        """Our entry in gc.callbacks. No lock, no exception: it runs in the middle of anything."""
        if self._own_thread == get_ident():
            self._own_seen = True
        elif phase == "start":
            self._note_allocated()
            self._external_in_flight = self._in_flight
            self._external_thread = get_ident()
            generation = info.get("generation")
            if self._tell_external and type(generation) is int and generation == FULL:
                self._tell("external_full", None)
            self._external_start_ns = self._now()
        elif self._external_thread:
            self._record_external(self._now() - self._external_start_ns, info)
            # The last thing done: another thread must not take the collector for free before it is.
            self._external_thread = 0

    def _record_external(self, pause_ns: int, info: dict[str, int]) -> None:
        # All callbacks share this dict, and may have put anything into it.
        generation, collected = info.get("generation"), info.get("collected")
        if type(generation) is not int or type(collected) is not int:
            return
        if self._external and 0 <= generation < GENERATIONS and 0 <= collected < NEVER_DUE:
            start_ns, in_flight = self._external_start_ns, self._external_in_flight
            reason = REASONS[EXTERNAL]
            event = Event(start_ns, pause_ns, generation, collected, reason, in_flight)
            self._record(event, EXTERNAL)
            self._note_long_pause(event)
            if self._tell_external:
                self._tell("external", event)

    def _note_long_pause(self, event: Event) -> None:
        known = self._long_pause.pause_ns if self._long_pause is not None else 0
        if event.pause_ns > self._max_pause_ns and event.pause_ns > known:
            self._long_pause = event
            if self._active:
                self._due_at = 0

    def _activate(self) -> None:
        self._active = True
        self._due_at = self._schedule.nearest(0)
        self._check_at = NEVER_DUE
        if self._check_interval_ns >= 0:
            self._check_at = self._now() + self._check_interval_ns

    def _something_is_due(self, request: int) -> bool:
        return request >= self._due_at or self._time_to_check() or self._young_is_due()

    def _young_is_due(self) -> bool:
        return self._young_after > 0 and self._count() >= self._young_after

    def _note_allocated(self) -> None:
        if self._young_after:
            count = self._count()
            self._allocated += count

    def _time_to_check(self) -> bool:
        return self._check_at != NEVER_DUE and self._now() >= self._check_at

    def _clear(self) -> None:
        self._requests = 0
        self._due_at = NEVER_DUE
        self._failures = 0
        self._allocated = 0
        self._unmatched_exits = 0
        self._faults = 0
        self._owed = NONE_DUE
        self._sweeping = False
        self._emergency_at = self._now()
        self._long_pause = None
        self._last_minute = TheLastMinute()
        self._by_reason = [0] * len(REASONS)
        self._totals = [Totals() for _ in range(GENERATIONS)]
        self._tallies = [Tally()] * GENERATIONS
        self._events: deque[Event] = deque(maxlen=RING_SIZE)

    def _record(self, event: Event, reason: int) -> None:
        self._totals[event.generation].add(event)
        ran, collected, pause_ns = self._tallies[event.generation]
        if reason != CONCURRENT:
            ran, pause_ns = ran + 1, pause_ns + event.pause_ns
        self._tallies[event.generation] = Tally(ran, collected + event.collected, pause_ns)
        self._last_minute.add(event)
        self._by_reason[reason] += 1
        self._events.append(event)

    def _boundary(self, request: int, exc_type: Any) -> None:
        if not self._active:
            return
        *generations, report, recycle = self._schedule.due(request)
        # Another thread may have put a later one; an earlier one only costs a look.
        self._due_at = 0 if self._sweeping else self._schedule.nearest(request)
        generation, self._owed = self._owed, NONE_DUE
        for candidate, due in enumerate(generations):
            if due:
                generation = max(generation, candidate)
        reason = SCHEDULED
        if exc_type is not None and issubclass(exc_type, Exception):
            self._failures += 1
            if self._emergency():
                generation = max(generation, self._emergency_generation)
                reason = EMERGENCY
        look = self._time_to_check()
        if look:
            self._check_at = self._now() + self._check_interval_ns
        elif self._young_is_due():  # else it is for the look to say whether this is the time
            generation = max(generation, YOUNG)
        full = generation == FULL and self._concurrent and reason == SCHEDULED
        if generation != NONE_DUE:
            self._collect_at_boundary(0 if full else generation, reason)
            if full and self._owed != NONE_DUE:  # it did not run, and shall be the full one then
                full = False
                self._owed = FULL
        if not self._holds:
            self.tell_long_pause()
        elif self._long_pause is not None:
            self._due_at = 0
        if report:
            self._tell("report", None)
        if recycle:
            self._tell("recycle", None)
        if look:
            self._tell("check", None)
        if full:
            self._tell("full", None)
        elif self._sweeping:
            self._tell("sweep_step", None)

    def _tell(self, kind: Kind, event: Event | None) -> None:
        notify = self._notify
        if notify is None:
            return
        try:
            notify(kind, event)
        except Exception:
            self._faults += 1
            if self._faults == 1:
                log_fault()

    def _emergency(self) -> bool:
        if self._emergency_interval_ns < 0:
            return False
        now = self._now()
        if now < self._emergency_at:
            return False
        self._emergency_at = now + self._emergency_interval_ns
        return True

    def _collect_at_boundary(self, generation: int, reason: int) -> None:
        event = self._collect(generation, reason, None)
        if event is None:
            self._owed = max(self._owed, generation)
            self._due_at = self._requests + 1
            return
        if self._holds:
            self._note_long_pause(event)
        elif event.pause_ns > self._max_pause_ns:
            self._tell("long_pause", event)

    def _collect(
        self, generation: int, reason: int, action: Callable[[], int] | None
    ) -> Event | None:
        """Collect and record; None when a collection already running made it impossible."""
        callbacks = self._callbacks
        out = False  # our callback is out of the list by our own hand
        me = get_ident()
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
                out, watching = True, False
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
            if out and self._joined and self._position() < 0:
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
