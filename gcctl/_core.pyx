# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""The compiled core: the only place where the C of csrc/ meets Python objects.

What each function promises is said once, in `gcctl._protocol.Core`.

Thread safety: every function holds the GIL from its first line to its last, but for the collection
itself, during which finalizers may let other threads run (`_collect`). So plain integers are exact.
A free-threaded interpreter switches the GIL back on when it imports this module, which does not
declare that it can do without.
"""

import gc

from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport INT64_MAX, int64_t

from gcctl._csrc cimport (
    GCCTL_GENERATIONS,
    GCCTL_HISTOGRAM_BUCKETS,
    GCCTL_REASON_EMERGENCY,
    GCCTL_REASON_EXTERNAL,
    GCCTL_REASON_SCHEDULED,
    GCCTL_REASONS,
    GCCTL_RING_SIZE,
    GCCTL_SLOT_REPORT,
    GCCTL_SLOTS,
    gcctl_clock_now,
    gcctl_event,
    gcctl_recorder,
    gcctl_recorder_add,
    gcctl_recorder_clear,
    gcctl_schedule,
    gcctl_schedule_set,
    gcctl_schedule_take,
    gcctl_totals,
)

from gcctl._protocol import REASONS, ByReason, Event, GenerationTotals, Snapshot, log_fault
from gcctl._request import decorate, make_context


cdef extern from "Python.h":
    Py_ssize_t PyGC_Collect() except? -1
    bint PyGC_IsEnabled()
    void Py_SET_SIZE(object sized, Py_ssize_t size)
    void Py_DECREF(object owned)


cdef object gc_collect = gc.collect
cdef object gc_callbacks = gc.callbacks

cdef enum:
    NONE_DUE = -1
    DID_NOT_RUN = -1
    FULL = 2


cdef class Core:
    # The hot path: read or written at every request.
    cdef int64_t requests
    cdef int64_t in_flight
    cdef int64_t act_at  # requests at which there is something to do; INT64_MAX while stopped
    cdef object context

    cdef bint active
    cdef bint external
    cdef int owed  # generation whose turn came while a collection was running, or NONE_DUE
    cdef int64_t failures
    cdef int64_t unmatched_exits
    cdef int64_t faults
    cdef int64_t max_pause_ns
    cdef int64_t emergency_interval_ns  # -1: none
    cdef int64_t emergency_at  # clock before which there is no further one
    cdef gcctl_schedule schedule
    cdef gcctl_recorder recorder
    cdef object notify

    # The collection that is running, if any. Thread 0 is none.
    cdef unsigned long own_thread
    cdef bint own_seen  # our callback saw our own collection start: it did run
    cdef unsigned long external_thread
    cdef int64_t external_start_ns
    cdef int64_t external_in_flight

    # Replacements, for tests and simulation; None: the real thing.
    cdef object fake_collect
    cdef object fake_clock

    cdef list callbacks  # gc.callbacks
    cdef object callback  # our entry in it, always this very object
    cdef bint attached  # it is in the list, or will be when the running collection is over

    implementation = "c"

    def __init__(self, *, collect=None, clock=None, callbacks=None):
        self.fake_collect = collect
        self.fake_clock = clock
        self.callbacks = gc_callbacks if callbacks is None else callbacks
        self.callback = self.on_gc
        self.context = make_context(self.enter, self.exit)
        self.notify = None
        self.emergency_interval_ns = -1
        self._clear()
        self.act_at = INT64_MAX

    def request(self, func=None, /):
        """The context manager of a request; or, given a function, that function as a request."""
        if func is None:
            return self.context
        return decorate(self.context, func)

    def enter(self):
        """A request begins. Returns the context manager."""
        self.in_flight += 1
        return self.context

    def exit(self, exc_type, exc, traceback, /):
        """A request ends: one boundary. Does nothing when no request is in flight."""
        if self.in_flight <= 0:
            self.unmatched_exits += 1
            return
        self.in_flight -= 1
        self.requests += 1
        if self.requests >= self.act_at or exc_type is not None:
            self._boundary(exc_type)

    def tick(self):
        """A boundary without a context: one unit of work is done."""
        self.requests += 1
        if self.requests >= self.act_at:
            self._boundary(None)

    def start(self, orders, notify):
        """Act at boundaries from now on, with clean counters."""
        cdef int64_t[GCCTL_SLOTS] slots
        slots[0], slots[1], slots[2] = orders.every
        slots[GCCTL_SLOT_REPORT] = orders.report_every
        self.max_pause_ns = orders.max_pause_ns
        self.emergency_interval_ns = orders.emergency_interval_ns
        self.external = orders.external
        self.notify = notify
        gcctl_schedule_set(&self.schedule, slots)
        self._clear()
        self.active = True
        self.act_at = self.schedule.nearest
        if not self.attached:
            self.callbacks.append(self.callback)
            self.attached = True

    def stop(self):
        """Act no more. False when somebody had removed our gc callback meanwhile."""
        self.active = False
        self.act_at = INT64_MAX
        self.notify = None
        if not self.attached:
            return True
        self.attached = False
        if self.callback in self.callbacks:
            self.callbacks.remove(self.callback)
            return True
        return self.own_thread != 0  # while we collect, it is out of the list by our own hand

    def collect(self, int generation, int reason):
        """Collect now and record it, for the reason of that index."""
        if not 0 <= generation < GCCTL_GENERATIONS or not 0 <= reason < GCCTL_REASONS:
            raise ValueError(f"no such generation or reason: {generation}, {reason}")
        return self._collect(generation, reason)

    def snapshot(self):
        """Every counter at one moment."""
        # Copied first: making the tuples may itself set off a collection, which would be recorded.
        cdef gcctl_recorder recorder = self.recorder
        cdef int index
        return Snapshot(
            self.requests if self.active else 0,
            self.failures,
            self.in_flight,
            self.unmatched_exits,
            self.faults,
            ByReason(*[recorder.by_reason[index] for index in range(GCCTL_REASONS)]),
            tuple([totals_as_tuple(&recorder.generation[index])
                   for index in range(GCCTL_GENERATIONS)]),
        )

    def events(self):
        """The last collections, oldest first."""
        cdef gcctl_recorder recorder = self.recorder
        cdef int64_t number
        return tuple([event_as_tuple(&recorder.ring[number % GCCTL_RING_SIZE])
                      for number in range(max(0, recorder.written - GCCTL_RING_SIZE),
                                          recorder.written)])

    def now(self):
        """The clock by which pauses are measured."""
        return self._now()

    def busy_elsewhere(self):
        """True while another thread is, as far as can be told, in the middle of a collection."""
        cdef unsigned long thread = self.own_thread or self.external_thread
        return thread != 0 and thread != <unsigned long>PyThread_get_thread_ident()

    def after_fork(self):
        """In the child: clean counters, no requests in flight, everything due counted anew."""
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        self.in_flight = 0
        # A finalizer that forks is inside a collection, and so is its child: that one goes on.
        if self.own_thread != me:
            self.own_thread = 0
        if self.external_thread != me:
            self.external_thread = 0
        gcctl_schedule_set(&self.schedule, self.schedule.every)
        self._clear()
        if self.active:
            self.act_at = self.schedule.nearest

    def on_gc(self, phase, info, /):
        """Our entry in gc.callbacks. No lock, no exception: it runs in the middle of anything."""
        cdef gcctl_event event
        if self.own_thread != 0:
            self.own_seen = True
            return
        if phase == "start":
            self.external_in_flight = self.in_flight
            self.external_thread = <unsigned long>PyThread_get_thread_ident()
            self.external_start_ns = self._now()
        elif self.external_thread != 0:
            self.external_thread = 0
            if not self.external:
                return
            event.pause_ns = self._now() - self.external_start_ns
            event.time_ns = self.external_start_ns
            event.collected = info["collected"]
            event.generation = info["generation"]
            event.reason = GCCTL_REASON_EXTERNAL
            event.in_flight = self.external_in_flight
            gcctl_recorder_add(&self.recorder, &event)

    cdef inline int64_t _now(self) except? -1:
        if self.fake_clock is None:
            return gcctl_clock_now()
        return self.fake_clock()

    cdef int _clear(self) except -1:
        self.requests = 0
        self.failures = 0
        self.unmatched_exits = 0
        self.faults = 0
        self.owed = NONE_DUE
        self.emergency_at = self._now()  # the first may come at once
        gcctl_recorder_clear(&self.recorder)

    cdef int _boundary(self, exc_type) except -1:
        """Something may be due at the request that just ended."""
        if not self.active:
            return 0
        try:
            self._act(exc_type)
        except Exception:
            self.faults += 1
            if self.faults == 1:
                log_fault()
        return 0

    cdef int _act(self, exc_type) except -1:
        cdef int due = gcctl_schedule_take(&self.schedule, self.requests)
        cdef int generation = self.owed
        cdef int reason = GCCTL_REASON_SCHEDULED
        cdef int candidate
        self.act_at = self.schedule.nearest
        self.owed = NONE_DUE
        for candidate in range(GCCTL_GENERATIONS):
            if due >> candidate & 1 and candidate > generation:
                generation = candidate
        if exc_type is not None:
            self.failures += 1
            if self._emergency(exc_type):
                generation = FULL
                reason = GCCTL_REASON_EMERGENCY
        if generation != NONE_DUE:
            self._collect_at_boundary(generation, reason)
        if due >> GCCTL_SLOT_REPORT & 1 and self.active:
            self.notify("report", None)
        return 0

    cdef bint _emergency(self, exc_type) except -1:
        """May this failing request have a collection of its own?"""
        cdef int64_t now
        # Not for a cancelled task, a closed generator, an interrupt or an exit: nothing failed.
        if self.emergency_interval_ns < 0 or not issubclass(exc_type, Exception):
            return False
        now = self._now()
        if now < self.emergency_at:
            return False
        self.emergency_at = now + self.emergency_interval_ns
        return True

    cdef int _collect_at_boundary(self, int generation, int reason) except -1:
        if self._collect(generation, reason) == DID_NOT_RUN:
            self.owed = max(self.owed, generation)
            self.act_at = self.requests + 1
            return 0
        # Recording was the last thing that _collect did: the newest event is ours.
        cdef gcctl_event event = self.recorder.ring[(self.recorder.written - 1) % GCCTL_RING_SIZE]
        if event.pause_ns > self.max_pause_ns and self.active:
            self.notify("long_pause", event_as_tuple(&event))
        return 0

    cdef int64_t _collect(self, int generation, int reason) except? -2:
        """Collect and record. Finalizers may run any code meanwhile, and let other threads run."""
        cdef gcctl_event event
        cdef int64_t collected = 0
        cdef bint out
        if self.own_thread != 0:
            return DID_NOT_RUN
        # With a callback registered, CPython makes a dict for every collection and calls it twice:
        # 240-420 ns that tell us nothing about a collection of our own. While one runs, ours is out
        # of the list; unless others come after it, whose order is theirs to keep, or a collection
        # seems to be running, when it is needed to tell whether this one runs at all.
        if self.external_thread != 0 and self.callback not in self.callbacks:
            self.external_thread = 0  # somebody removed it, so its end went unseen
        out = self.external_thread == 0 and self._callback_is_last()
        if out:
            # list.pop() gives memory back here, which the append() below would ask for again.
            Py_SET_SIZE(self.callbacks, len(self.callbacks) - 1)
            Py_DECREF(self.callback)
        self.own_seen = False
        self.own_thread = <unsigned long>PyThread_get_thread_ident()
        event.in_flight = self.in_flight
        try:
            event.time_ns = self._now()
            collected = self._run_collector(generation)
            event.pause_ns = self._now() - event.time_ns
        finally:
            self.own_thread = 0
            if out and self.attached:
                self.callbacks.append(self.callback)
        if self.external_thread != 0:
            if not self.own_seen:
                return DID_NOT_RUN
            self.external_thread = 0  # its end was hidden from us, but it has ended: ours ran
        event.generation = generation
        event.reason = reason
        event.collected = collected
        gcctl_recorder_add(&self.recorder, &event)
        return collected

    cdef int64_t _run_collector(self, int generation) except? -1:
        if self.fake_collect is not None:
            return self.fake_collect(generation)
        # PyGC_Collect is the shortest way to a full collection but does nothing while automatic GC
        # is off, and switching it on for the call would show to every finalizer and other thread.
        if generation == FULL and PyGC_IsEnabled():
            return PyGC_Collect()
        return gc_collect(generation)

    cdef inline bint _callback_is_last(self):
        cdef Py_ssize_t count = len(self.callbacks)
        return count > 0 and self.callbacks[count - 1] is self.callback


cdef object totals_as_tuple(const gcctl_totals *totals):
    cdef int bucket
    return GenerationTotals(
        totals.collections,
        totals.collected,
        totals.pause_total_ns,
        totals.pause_max_ns,
        tuple([(bucket, totals.pauses.count[bucket])
               for bucket in range(GCCTL_HISTOGRAM_BUCKETS) if totals.pauses.count[bucket]]),
    )


cdef object event_as_tuple(const gcctl_event *event):
    return Event(event.time_ns, event.pause_ns, event.generation, event.collected,
                 REASONS[event.reason], event.in_flight)
