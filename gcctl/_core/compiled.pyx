# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""The compiled core: the request boundary. Requests are counted; what is due after each is decided.

What each function promises is said once, in `gcctl._core.protocol.Core`. The parts are included
below, as in the pure-Python twin:

    compiled.pyx              pure.py              Core: what is due at this boundary?
    compiled_collector.pxi    pure_collector.py    Collector: how is a collection run and timed?
    compiled_recorder.pxi     pure_recorder.py     Recorder: what is kept of it, who is told?
    compiled_entry.pxi        pure_entry.py        Entry: a request that ends in another place
    compiled_records.pxi      pure_counters.py     the counters, and the records made of them
    csrc/core/fork_page.h     pure_fork_mark.py    is this a forked child?

Thread safety: every function holds the GIL from its first line to its last, except during the
collection itself, in which finalizers may let other threads run (`_collect`). So plain integers are
exact. A free-threaded interpreter switches the GIL back on when it imports this module, because the
module does not declare that it can do without.
"""

cimport cython
from libc.stdint cimport INT64_MAX, int64_t

from gcctl._core.csrc cimport (
    GCCTL_GENERATIONS, GCCTL_REASON_EMERGENCY, GCCTL_REASON_SCHEDULED, GCCTL_SLOT_RECYCLE,
    GCCTL_SLOT_REPORT, GCCTL_SLOTS, gcctl_clock_coarse, gcctl_event, gcctl_fork_page,
    gcctl_fork_page_get, gcctl_recorder, gcctl_schedule, gcctl_schedule_set, gcctl_schedule_take,
    gcctl_last_minute_slot, gcctl_last_minute_sum,
)

from gcctl._core.records import Snapshot
from gcctl._core.request import decorate, make_context

# Compared with INTERFACE of gcctl/_base/installed_files.py when this module is imported.
INTERFACE = 1

include "compiled_records.pxi"
include "compiled_recorder.pxi"
include "compiled_collector.pxi"

# Default of an argument that only some callers give.
cdef object NOT_GIVEN = object()


@cython.final  # its cdef methods are called directly, and inlined
cdef class Core(Collector):
    cdef bint concurrent
    cdef bint sweeping
    cdef int postponed  # generation that was due while no collection could run, or NONE_DUE
    cdef int emergency_generation
    cdef int64_t failures
    cdef int64_t unmatched_exits
    cdef int64_t emergency_interval_ns  # -1: no emergency collections
    cdef int64_t emergency_at_ns  # no emergency collection before this time
    cdef int64_t check_interval_ns  # -1: no checks
    cdef gcctl_schedule schedule
    cdef object put_right  # in a forked child; None: after_fork()

    implementation = "c"

    def __init__(self, *, collect=None, clock=None, count=None, callbacks=None):
        self._set_up(collect, clock, count, callbacks)
        self.context = make_context(self.enter, self.exit)
        self.emergency_interval_ns = -1
        self.emergency_generation = FULL
        self.check_interval_ns = -1
        self._clear()
        self.page.due_at_request = self.check_at_ns = INT64_MAX

    def request(self, func=None, /):
        """The context manager of a request; or, given a function, that function as a request."""
        if func is None:
            return self.context
        return decorate(self.context, func)

    # ExitStack and the like call what they find on the type with the context manager in front.

    def enter(self, context=None, /):
        """A request begins. Returns the context manager."""
        self.page.in_flight += 1
        return self.context

    def exit(self, exc_type, exc, traceback, behind_context=NOT_GIVEN, /):
        """A request ends: one boundary. Does nothing when no request is in flight."""
        self._exit(exc_type if behind_context is NOT_GIVEN else exc)

    def begin(self):
        """A request begins, whose end is not in the same place. Returns its `Entry`."""
        cdef Entry entry = Entry.__new__(Entry)
        if self.page.process == 0:
            self._notice_fork()
        entry.core = self
        entry.over = False
        entry.process = self.page.process
        entry.pauses_ns = self._paused()
        self.page.in_flight += 1
        return entry

    def due(self):
        return self._something_is_due(self.requests + 1)

    def tick(self):
        """A boundary without a context: one unit of work is done."""
        self.requests += 1
        if self._something_is_due(self.requests):
            self._boundary(None)

    def start(self, orders, notify):
        cdef int64_t[GCCTL_SLOTS] slots
        slots[0], slots[1], slots[2] = orders.every
        slots[GCCTL_SLOT_REPORT] = orders.report_every
        slots[GCCTL_SLOT_RECYCLE] = orders.recycle_after
        self.emergency_interval_ns = orders.emergency_interval_ns
        self.emergency_generation = orders.emergency_generation
        self.check_interval_ns = orders.check_interval_ns
        self.concurrent = orders.concurrent
        self._set_orders(orders, notify)
        gcctl_schedule_set(&self.schedule, slots)
        self._clear()
        self._activate()
        self._attach()

    def stop(self):
        self.active = self.sweeping = False
        self.page.due_at_request = self.check_at_ns = INT64_MAX
        return self._detach()

    def want_sweep_steps(self, bint on):
        self.sweeping = on
        if on and self.active:
            self.page.due_at_request = 0

    def check_after(self, int intervals):
        if self.active and self.check_interval_ns >= 0:
            self.check_at_ns = (self._now() + intervals * self.check_interval_ns
                                if intervals else 0)

    def snapshot(self):
        # Copied first: making the tuples may itself set off a collection, which would be recorded.
        cdef gcctl_recorder recorder = self.recorder
        cdef gcctl_last_minute_slot last_minute
        gcctl_last_minute_sum(&self.last_minute, self._now(), &last_minute)
        return Snapshot(
            self.requests if self.active else 0,
            self.failures,
            self.page.in_flight,
            self.unmatched_exits,
            self.faults,
            by_reason_as_tuple(&recorder),
            generations_as_tuple(&recorder),
            last_minute_as_tuple(&last_minute),
        )

    def boundaries(self):
        return self.requests

    def in_flight(self):
        return self.page.in_flight

    def follow_forks(self, put_right):
        cdef gcctl_fork_page *page = gcctl_fork_page_get()
        if page == NULL:
            raise MemoryError
        page[0] = self.page[0]
        self.page = page
        self.put_right = put_right

    def notice_fork(self):
        if self.page.process == 0:
            self._notice_fork()

    def after_fork(self):
        self._forget_the_parent()
        gcctl_schedule_set(&self.schedule, self.schedule.every)
        self._clear()
        self.page.due_at_request = INT64_MAX
        if self.active:
            self._activate()

    cdef int _notice_fork(self) except -1:
        """The page was cleared: this is a child, and no hook has come by here yet."""
        cdef int64_t in_flight = self.page.in_flight  # begun in this process
        self._be_another_process()  # at once, so that nobody else begins to put it right
        try:
            if self.put_right is None:
                self.after_fork()
            else:
                self.put_right()
        finally:
            self.page.in_flight += in_flight
        return 0

    cdef int _activate(self) except -1:
        self.active = True
        self.page.due_at_request = self.schedule.nearest
        self.check_at_ns = INT64_MAX
        if self.check_interval_ns >= 0:
            self.check_at_ns = self._now() + self.check_interval_ns

    cdef int _clear(self) except -1:
        self.requests = 0
        self.failures = 0
        self.unmatched_exits = 0
        self.postponed = NONE_DUE
        self.sweeping = False
        self.emergency_at_ns = self._now()  # the first may come at once
        self._clear_records()

    cdef inline int _exit(self, exc_type) except -1:
        if self.page.in_flight <= 0:
            self.unmatched_exits += 1
            return 0
        self.page.in_flight -= 1
        self.requests += 1
        if exc_type is not None or self._something_is_due(self.requests):
            self._boundary(exc_type)
        return 0

    cdef inline bint _something_is_due(self, int64_t request) except -1:
        return request >= self.page.due_at_request or self._time_to_check() or self._young_is_due()

    cdef inline bint _young_is_due(self) except -1:
        return self.young_after != NEVER and self._count() >= self.young_after

    cdef inline bint _time_to_check(self) except -1:
        if self.check_at_ns == INT64_MAX:
            return False
        if self.fake_clock is None:
            return gcctl_clock_coarse() >= self.check_at_ns
        return self.fake_clock() >= self.check_at_ns

    cdef int _boundary(self, exc_type) except -1:
        """Something may be due at the request that just ended."""
        if self.page.process == 0:
            self._notice_fork()
            self.requests += 1  # the one that just ended, which is the first of this process
        if not self.active:
            return 0
        cdef int due = gcctl_schedule_take(&self.schedule, self.requests)
        cdef int generation = self._highest_due(due)
        cdef int reason = GCCTL_REASON_SCHEDULED
        self.page.due_at_request = 0 if self.sweeping else self.schedule.nearest
        if exc_type is not None and self._failed(exc_type):
            generation = max(generation, self.emergency_generation)
            reason = GCCTL_REASON_EMERGENCY
        cdef bint check = self._time_to_check()
        if check:
            self.check_at_ns = self._now() + self.check_interval_ns
        elif self._young_is_due():  # at a check, the receiver of "check" decides this
            generation = max(generation, YOUNG)
        # A full collection that is to run concurrently does not run here. A young one does, and
        # "full" is told.
        cdef bint full = (generation == FULL and self.concurrent
                          and reason == GCCTL_REASON_SCHEDULED)
        if generation != NONE_DUE:
            self._collect_at_boundary(0 if full else generation, reason)
            if full and self.postponed != NONE_DUE:  # not even the young one could run
                full = False
                self.postponed = FULL
        if self.long_pause.pause_ns:
            if self.holds:
                self.page.due_at_request = 0  # told at the next boundary
            else:
                self.tell_long_pause()
        self._tell_what_is_due(due, check, full)
        return 0

    cdef inline int _highest_due(self, int due) noexcept:
        """The highest generation due by the schedule, or postponed; NONE_DUE if there is none."""
        cdef int generation = self.postponed
        cdef int candidate
        self.postponed = NONE_DUE
        for candidate in range(GCCTL_GENERATIONS):
            if due >> candidate & 1 and candidate > generation:
                generation = candidate
        return generation

    cdef bint _failed(self, exc_type) except -1:
        """Count the request as failed; may it have an emergency collection?"""
        # Not for a cancelled task, a closed generator, an interrupt or an exit: nothing failed.
        if not issubclass(exc_type, Exception):
            return False
        self.failures += 1
        if self.emergency_interval_ns < 0:
            return False
        cdef int64_t now = self._now()
        if now < self.emergency_at_ns:
            return False
        self.emergency_at_ns = now + self.emergency_interval_ns
        return True

    cdef int _collect_at_boundary(self, int generation, int reason) except -1:
        if self._collect(generation, reason, None) == DID_NOT_RUN:
            self.postponed = max(self.postponed, generation)
            self.page.due_at_request = self.requests + 1
            return 0
        # Recording was the last thing that _collect did: the newest event is ours.
        cdef gcctl_event event = self._newest()[0]
        if self.holds:
            # A fork waits for this collection. What is told goes to a log. If the fork were made
            # while the log's stream is locked, the lock would stay locked in the child.
            self._note_long_pause(&event)
        elif event.pause_ns > self.max_pause_ns:
            self._tell("long_pause", event_as_tuple(&event))
        return 0

    cdef inline int _tell_what_is_due(self, int due, bint check, bint full) except -1:
        if due >> GCCTL_SLOT_REPORT & 1:
            self._tell("report", None)
        if due >> GCCTL_SLOT_RECYCLE & 1:
            self._tell("recycle", None)
        if check:
            self._tell("check", None)
        if full:
            self._tell("full", None)
        elif self.sweeping:
            self._tell("sweep_step", None)
        return 0


include "compiled_entry.pxi"
