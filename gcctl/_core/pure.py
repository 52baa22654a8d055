"""The pure-Python twin of the compiled core: the same Protocol, the same answers, no compiler.

What each function promises is said once, in `gcctl._core.protocol.Core`; why things are done in
this order, in `compiled.pyx`, which also has a table of the parts.

Thread safety: CPython switches threads at calls and at backward jumps only, so an augmented
assignment of an attribute is one step, as long as nothing is called in it. The counting in this
twin keeps to that.
"""

from __future__ import annotations

from collections.abc import Callable
from os import getpid
from typing import Any, Literal

from gcctl._base.clock import sleep
from gcctl._core.protocol import Notify, Orders
from gcctl._core.pure_collector import FULL, NONE_DUE, SCHEDULED, YOUNG, Collector
from gcctl._core.pure_counters import NEVER_DUE, Schedule
from gcctl._core.pure_entry import Entry
from gcctl._core.pure_fork_mark import ForkMark, fork_mark
from gcctl._core.records import REASONS, ByReason, Snapshot
from gcctl._core.request import RequestContext, decorate, make_context

EMERGENCY = REASONS.index("emergency")
NOT_GIVEN = object()


class Core(Collector):
    implementation: Literal["c", "python"] = "python"

    _requests: int
    _failures: int
    _unmatched_exits: int
    _postponed: int  # generation that was due while no collection could run, or NONE_DUE
    _sweeping: bool
    _emergency_at_ns: int  # no emergency collection before this time

    def __init__(
        self, *, collect: Any = None, clock: Any = None, count: Any = None, callbacks: Any = None
    ) -> None:
        super().__init__(collect, clock, count, callbacks)
        self._context = make_context(self.enter, self.exit)
        self._concurrent = False
        self._emergency_interval_ns = -1  # -1: no emergency collections
        self._emergency_generation = FULL
        self._check_interval_ns = -1  # -1: no checks
        self._check_at_ns = NEVER_DUE  # time of the next check
        self._schedule = Schedule((0, 0, 0, 0, 0))
        self._process = getpid()
        self._fork_mark: ForkMark = [1]  # every boundary reads it
        self._put_right: Callable[[], object] = self.after_fork
        self._clear()

    def request(self, func: Any = None, /) -> Any:
        if func is None:
            return self._context
        return decorate(self._context, func)

    def enter(self, context: Any = None, /) -> RequestContext:
        if not self._fork_mark[0]:
            self.notice_fork()
        self._in_flight += 1
        return self._context

    def exit(
        self, exc_type: Any, exc: Any, traceback: Any, behind_context: Any = NOT_GIVEN, /
    ) -> None:
        if behind_context is not NOT_GIVEN:
            exc_type = exc
        if not self._fork_mark[0]:
            self.notice_fork()
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
        if not self._fork_mark[0]:
            self.notice_fork()
        self._requests = request = self._requests + 1
        if self._something_is_due(request):
            self._boundary(request, None)

    def start(self, orders: Orders, notify: Notify) -> None:
        self._emergency_interval_ns = orders.emergency_interval_ns
        self._emergency_generation = orders.emergency_generation
        self._check_interval_ns = orders.check_interval_ns
        self._concurrent = orders.concurrent
        self._set_orders(orders, notify)
        self._schedule = Schedule((*orders.every, orders.report_every, orders.recycle_after))
        self._clear()
        self._activate()
        self._attach()

    def stop(self) -> bool:
        self._active = self._sweeping = False
        self._due_at_request = self._check_at_ns = NEVER_DUE
        return self._detach()

    def want_sweep_steps(self, on: bool) -> None:
        self._sweeping = on
        if on and self._active:
            self._due_at_request = 0

    def check_after(self, intervals: int) -> None:
        if self._active and self._check_interval_ns >= 0:
            later = self._now() + intervals * self._check_interval_ns
            self._check_at_ns = later if intervals else 0

    def snapshot(self) -> Snapshot:
        # An event that is just being recorded is in some of the counters only: then read them
        # again. Not for ever: a signal that raised in the middle of recording leaves them apart
        # for good.
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
            sleep(1e-6)  # else the thread that records would have no turn
        return snapshot

    def boundaries(self) -> int:
        return self._requests

    def in_flight(self) -> int:
        return self._in_flight

    def follow_forks(self, put_right: Callable[[], object]) -> None:
        self._put_right = put_right
        self._fork_mark = fork_mark()

    def notice_fork(self) -> None:
        # Emulators accept the advice to clear the mark without following it.
        process = getpid()
        if process == self._process and self._fork_mark[0]:  # one step with the next two lines
            return
        self._process = process
        self._fork_mark[0] = 1
        self._put_right()

    def after_fork(self) -> None:
        self._forget_the_parent()
        self._schedule = Schedule(self._schedule.every)
        self._clear()
        if self._active:
            self._activate()

    def _activate(self) -> None:
        self._active = True
        self._due_at_request = self._schedule.nearest(0)
        self._check_at_ns = NEVER_DUE
        if self._check_interval_ns >= 0:
            self._check_at_ns = self._now() + self._check_interval_ns

    def _clear(self) -> None:
        self._requests = 0
        self._due_at_request = NEVER_DUE
        self._failures = 0
        self._unmatched_exits = 0
        self._postponed = NONE_DUE
        self._sweeping = False
        self._emergency_at_ns = self._now()  # the first may come at once
        self._clear_records()

    def _something_is_due(self, request: int) -> bool:
        return request >= self._due_at_request or self._time_to_check() or self._young_is_due()

    def _young_is_due(self) -> bool:
        return self._young_after > 0 and self._count() >= self._young_after

    def _time_to_check(self) -> bool:
        return self._check_at_ns != NEVER_DUE and self._now() >= self._check_at_ns

    def _boundary(self, request: int, exc_type: Any) -> None:
        if not self._active:
            return
        *generations, report, recycle = self._schedule.due(request)
        # Another thread may have put a later one; an earlier one only costs a boundary that finds
        # nothing due.
        self._due_at_request = 0 if self._sweeping else self._schedule.nearest(request)
        generation, self._postponed = self._postponed, NONE_DUE
        for candidate, due in enumerate(generations):
            if due:
                generation = max(generation, candidate)
        reason = SCHEDULED
        if exc_type is not None and self._failed(exc_type):
            generation = max(generation, self._emergency_generation)
            reason = EMERGENCY
        check = self._time_to_check()
        if check:
            self._check_at_ns = self._now() + self._check_interval_ns
        elif self._young_is_due():  # at a check, the receiver of "check" decides this
            generation = max(generation, YOUNG)
        full = generation == FULL and self._concurrent and reason == SCHEDULED
        if generation != NONE_DUE:
            self._collect_at_boundary(0 if full else generation, reason)
            if full and self._postponed != NONE_DUE:  # not even the young one could run
                full = False
                self._postponed = FULL
        if not self._holds:
            self.tell_long_pause()
        elif self._long_pause is not None:
            self._due_at_request = 0
        if report or recycle or check or full or self._sweeping:
            self._tell_what_is_due(report, recycle, check, full)

    def _failed(self, exc_type: Any) -> bool:
        """Count the request as failed; may it have an emergency collection?"""
        if not issubclass(exc_type, Exception):
            return False
        self._failures += 1
        if self._emergency_interval_ns < 0:
            return False
        now = self._now()
        if now < self._emergency_at_ns:
            return False
        self._emergency_at_ns = now + self._emergency_interval_ns
        return True

    def _collect_at_boundary(self, generation: int, reason: int) -> None:
        event = self._collect(generation, reason, None)
        if event is None:
            self._postponed = max(self._postponed, generation)
            self._due_at_request = self._requests + 1
            return
        if self._holds:
            self._note_long_pause(event)
        elif event.pause_ns > self._max_pause_ns:
            self._tell("long_pause", event)

    def _tell_what_is_due(self, report: bool, recycle: bool, check: bool, full: bool) -> None:
        if report:
            self._tell("report", None)
        if recycle:
            self._tell("recycle", None)
        if check:
            self._tell("check", None)
        if full:
            self._tell("full", None)
        elif self._sweeping:
            self._tell("sweep_step", None)
