# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""The compiled core: the only place where the C of csrc/ meets Python objects.

What each function promises is said once, in `gcctl._core.protocol.Core`.

Thread safety: every function holds the GIL from its first line to its last, but for the collection
itself, during which finalizers may let other threads run (`_collect`). So plain integers are exact.
A free-threaded interpreter switches the GIL back on when it imports this module, which does not
declare that it can do without.
"""

import gc

cimport cython
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport INT64_MAX, int64_t

from gcctl._core.csrc cimport (
    GCCTL_GENERATIONS, GCCTL_HISTOGRAM_BUCKETS, GCCTL_REASON_EMERGENCY, GCCTL_REASON_EXTERNAL,
    GCCTL_REASON_CONCURRENT, GCCTL_REASON_SCHEDULED, GCCTL_REASONS, GCCTL_RING_SIZE,
    GCCTL_SLOT_RECYCLE, GCCTL_SLOT_REPORT, GCCTL_SLOTS, gcctl_clock_coarse, gcctl_clock_now,
    gcctl_event, gcctl_recorder, gcctl_recorder_add, gcctl_recorder_clear, gcctl_schedule,
    gcctl_schedule_set, gcctl_schedule_take, gcctl_slot, gcctl_totals, gcctl_window,
    gcctl_window_add, gcctl_window_clear, gcctl_window_sum,
)

from gcctl._base.faults import log_fault
from gcctl._core.records import REASONS, ByReason, Event, GenerationTotals, Snapshot, Tally, Window
from gcctl._core.request import decorate, make_context


cdef extern from "Python.h":
    Py_ssize_t PyGC_Collect() except? -1
    bint PyGC_IsEnabled()
    void Py_SET_SIZE(object sized, Py_ssize_t size)
    void Py_DECREF(object owned)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) noexcept


cdef object gc_collect = gc.collect
cdef object gc_freeze = gc.freeze
cdef object gc_get_count = gc.get_count
cdef object gc_callbacks = gc.callbacks

# Default of an argument that only some callers give.
cdef object NOT_GIVEN = object()

cdef enum:
    NONE_DUE = -1
    DID_NOT_RUN = -1
    NEVER = 0
    YOUNG = 0
    FULL = 2


@cython.final  # its cdef methods are called directly, and inlined
cdef class Core:
    # The hot path: read or written at every request.
    cdef int64_t requests
    cdef int64_t requests_in_flight
    cdef int64_t due_at  # requests at which there is something to do; INT64_MAX while stopped
    cdef int64_t check_at  # clock at which there is; INT64_MAX: never
    cdef int64_t young_after  # net allocations from which on generation 0 is due; 0: never
    cdef object context

    cdef bint active
    cdef bint external
    cdef bint telling_external
    cdef bint concurrent
    cdef bint sweeping
    cdef int owed  # generation whose turn came while a collection was running, or NONE_DUE
    cdef int64_t allocated_before  # the last collection and all before it
    cdef int64_t failures
    cdef int64_t unmatched_exits
    cdef int64_t faults
    cdef int64_t max_pause_ns
    cdef int64_t emergency_interval_ns  # -1: none
    cdef int emergency_generation
    cdef int64_t emergency_at  # clock before which there is no further one
    cdef int64_t check_interval_ns  # -1: none
    cdef gcctl_schedule schedule
    cdef gcctl_recorder recorder
    cdef gcctl_window window
    cdef gcctl_event long_pause  # the longest away from boundaries, not told of yet; 0 ns: none
    cdef object notify

    # The collection that is running, if any. Thread 0 is none.
    cdef unsigned long own_thread
    cdef bint own_seen  # our callback saw our own collection start: it did run
    cdef unsigned long external_thread
    cdef int64_t external_start_ns
    cdef int64_t external_in_flight
    cdef int forks  # between this process and the one that has imported gcctl
    cdef int holds  # forks being made, during which boundaries collect nothing

    # Replacements, for tests and simulation; None: the real thing.
    cdef object fake_collect
    cdef object fake_clock
    cdef object fake_count

    cdef list callbacks  # gc.callbacks
    cdef object callback  # our entry in it, always this very object
    cdef bint joined  # it is in the list, or will be when the running collection is over

    implementation = "c"

    def __init__(self, *, collect=None, clock=None, count=None, callbacks=None):
        self.fake_collect = collect
        self.fake_clock = clock
        self.fake_count = count
        self.callbacks = gc_callbacks if callbacks is None else callbacks
        self.callback = self.on_gc
        self.context = make_context(self.enter, self.exit)
        self.notify = None
        self.emergency_interval_ns = -1
        self.emergency_generation = FULL
        self.check_interval_ns = -1
        self._clear()
        self.due_at = self.check_at = INT64_MAX

    def request(self, func=None, /):
        """The context manager of a request; or, given a function, that function as a request."""
        if func is None:
            return self.context
        return decorate(self.context, func)

    # ExitStack and the like call what they find on the type with the context manager in front.

    def enter(self, context=None, /):
        """A request begins. Returns the context manager."""
        self.requests_in_flight += 1
        return self.context

    def exit(self, exc_type, exc, traceback, behind_context=NOT_GIVEN, /):
        """A request ends: one boundary. Does nothing when no request is in flight."""
        self._exit(exc_type if behind_context is NOT_GIVEN else exc)

    def begin(self):
        """A request begins, whose end is not in the same place. Returns its `Entry`."""
        cdef Entry entry = Entry.__new__(Entry)
        entry.core = self
        entry.over = False
        entry.forks = self.forks
        entry.pauses_ns = self._paused()
        self.requests_in_flight += 1
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
        self.max_pause_ns = orders.max_pause_ns
        self.emergency_interval_ns = orders.emergency_interval_ns
        self.emergency_generation = orders.emergency_generation
        self.young_after = orders.young_after
        self.check_interval_ns = orders.check_interval_ns
        self.external = orders.external
        self.telling_external = orders.tell_external
        self.concurrent = orders.concurrent
        self.notify = notify
        gcctl_schedule_set(&self.schedule, slots)
        self._clear()
        self._activate()
        self.joined = True
        if self._position() < 0:
            self.callbacks.append(self.callback)

    def stop(self):
        self.active = self.sweeping = False
        self.due_at = self.check_at = INT64_MAX
        self.young_after = NEVER
        self.notify = None
        cdef Py_ssize_t position = self._position()
        # While we collect, it is out of the list by our own hand.
        cdef bint as_left = position >= 0 or not self.joined or self.own_thread != 0
        if position >= 0:
            del self.callbacks[position]
        self.joined = False
        return as_left

    def collect(self, int generation, int reason, action=None):
        if not 0 <= generation < GCCTL_GENERATIONS or not 0 <= reason < GCCTL_REASONS:
            raise ValueError(f"no such generation or reason: {generation}, {reason}")
        cdef int64_t collected = self._collect(generation, reason, action)
        if collected != DID_NOT_RUN:
            self._note_long_pause(self._newest())
        return collected

    def freeze(self):
        cdef int64_t collected = self._collect(YOUNG, GCCTL_REASON_SCHEDULED, None)
        gc_freeze()
        return collected

    def want_sweep_steps(self, bint on):
        self.sweeping = on
        if on and self.active:
            self.due_at = 0

    def check_after(self, int intervals):
        if self.active and self.check_interval_ns >= 0:
            self.check_at = self._now() + intervals * self.check_interval_ns if intervals else 0

    def snapshot(self):
        # Copied first: making the tuples may itself set off a collection, which would be recorded.
        cdef gcctl_recorder recorder = self.recorder
        cdef gcctl_slot minute
        cdef int index
        gcctl_window_sum(&self.window, self._now(), &minute)
        return Snapshot(
            self.requests if self.active else 0,
            self.failures,
            self.requests_in_flight,
            self.unmatched_exits,
            self.faults,
            ByReason(*[recorder.by_reason[index] for index in range(GCCTL_REASONS)]),
            tuple([totals_as_tuple(&recorder.generation[index])
                   for index in range(GCCTL_GENERATIONS)]),
            Window(tuple([minute.collections[index] for index in range(GCCTL_GENERATIONS)]),
                   totals_as_tuple(&minute.all)),
        )

    def tallies(self):
        cdef int index
        return tuple([Tally(self.recorder.tally[index].collections,
                            self.recorder.tally[index].collected,
                            self.recorder.tally[index].pause_total_ns)
                      for index in range(GCCTL_GENERATIONS)])

    def paused_ns(self):
        return self._paused()

    def allocated(self):
        return self.allocated_before

    def boundaries(self):
        return self.requests

    def in_flight(self):
        return self.requests_in_flight

    def events(self):
        cdef gcctl_recorder recorder = self.recorder
        cdef int64_t number
        return tuple([event_as_tuple(&recorder.ring[number % GCCTL_RING_SIZE])
                      for number in range(max(0, recorder.written - GCCTL_RING_SIZE),
                                          recorder.written)])

    def now(self):
        return self._now()

    def tell_long_pause(self):
        cdef gcctl_event event = self.long_pause
        if event.pause_ns:
            self.long_pause.pause_ns = 0
            self._tell("long_pause", event_as_tuple(&event))

    def attached(self):
        return self._position() >= 0 or self.own_thread != 0

    def collecting(self):
        return self.own_thread != 0 or self.external_thread != 0

    def busy_elsewhere(self):
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        if self.own_thread != 0:
            return self.own_thread != me
        if self.external_thread == me:
            return False
        return not self._collector_is_free()

    def hold(self):
        self.holds += 1

    def release(self):
        if self.holds > 0:  # in the child it is 0 already
            self.holds -= 1

    def after_fork(self):
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        self.requests_in_flight = 0
        self.forks += 1
        self.holds = 0
        # A finalizer that forks is inside a collection, and so is its child: that one goes on.
        if self.own_thread != me:
            self.own_thread = 0
        if self.external_thread != me:
            self.external_thread = 0
        gcctl_schedule_set(&self.schedule, self.schedule.every)
        self._clear()
        if self.active:
            self._activate()

    def on_gc(self, phase, dict info, /):
        """Our entry in gc.callbacks. No lock, no exception: it runs in the middle of anything."""
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        cdef gcctl_event event
        if self.own_thread == me:
            self.own_seen = True
            return
        if phase == "start":
            if self.young_after != NEVER:
                self.allocated_before += self._count()
            self.external_in_flight = self.requests_in_flight
            self.external_thread = me
            if self.telling_external and count_at(info, "generation") == FULL:
                self._tell("external_full", None)
            self.external_start_ns = self._now()
        elif self.external_thread != 0:
            event.pause_ns = self._now() - self.external_start_ns
            self._note_external(&event, info)
            # The last thing done: another thread must not take the collector for free before it is.
            self.external_thread = 0

    cdef int _note_external(self, gcctl_event *event, dict info) except -1:
        # All callbacks share this dict, and may have put anything into it.
        cdef int64_t collected = count_at(info, "collected")
        cdef int64_t generation = count_at(info, "generation")
        if not self.external or collected < 0 or not 0 <= generation < GCCTL_GENERATIONS:
            return 0
        event.time_ns = self.external_start_ns
        event.collected = collected
        event.generation = <int>generation
        event.reason = GCCTL_REASON_EXTERNAL
        event.in_flight = self.external_in_flight
        self._record(event)
        self._note_long_pause(event)
        if self.telling_external:
            self._tell("external", event_as_tuple(event))
        return 0

    cdef int _activate(self) except -1:
        self.active = True
        self.due_at = self.schedule.nearest
        self.check_at = INT64_MAX
        if self.check_interval_ns >= 0:
            self.check_at = self._now() + self.check_interval_ns

    cdef inline int _exit(self, exc_type) except -1:
        if self.requests_in_flight <= 0:
            self.unmatched_exits += 1
            return 0
        self.requests_in_flight -= 1
        self.requests += 1
        if exc_type is not None or self._something_is_due(self.requests):
            self._boundary(exc_type)
        return 0

    cdef inline int64_t _paused(self) noexcept:
        cdef int64_t total = 0
        cdef int index
        for index in range(GCCTL_GENERATIONS):
            total += self.recorder.generation[index].pause_total_ns
        return total

    cdef inline bint _something_is_due(self, int64_t request) except -1:
        return request >= self.due_at or self._time_to_check() or self._young_is_due()

    cdef inline bint _young_is_due(self) except -1:
        return self.young_after != NEVER and self._count() >= self.young_after

    cdef inline int64_t _count(self) except? -1:
        """Net allocations since the last collection."""
        if self.fake_count is None:
            return (<tuple>gc_get_count())[0]
        return self.fake_count()

    cdef inline bint _time_to_check(self) except -1:
        if self.check_at == INT64_MAX:
            return False
        if self.fake_clock is None:
            return gcctl_clock_coarse() >= self.check_at
        return self.fake_clock() >= self.check_at

    cdef inline gcctl_event *_newest(self) noexcept:
        return &self.recorder.ring[(self.recorder.written - 1) % GCCTL_RING_SIZE]

    cdef inline void _note_long_pause(self, const gcctl_event *event) noexcept:
        """To be told of at the next boundary."""
        if event.pause_ns > self.max_pause_ns and event.pause_ns > self.long_pause.pause_ns:
            self.long_pause = event[0]
            if self.active:
                self.due_at = 0

    cdef inline void _record(self, const gcctl_event *event) noexcept:
        gcctl_recorder_add(&self.recorder, event)
        gcctl_window_add(&self.window, event)

    cdef inline int64_t _now(self) except? -1:
        if self.fake_clock is None:
            return gcctl_clock_now()
        return self.fake_clock()

    cdef int _clear(self) except -1:
        self.requests = 0
        self.failures = 0
        self.allocated_before = 0
        self.unmatched_exits = 0
        self.faults = 0
        self.owed = NONE_DUE
        self.sweeping = False
        self.emergency_at = self._now()  # the first may come at once
        self.long_pause.pause_ns = 0
        gcctl_recorder_clear(&self.recorder)
        gcctl_window_clear(&self.window)

    cdef int _boundary(self, exc_type) except -1:
        """Something may be due at the request that just ended."""
        if not self.active:
            return 0
        cdef int due = gcctl_schedule_take(&self.schedule, self.requests)
        cdef int generation = self.owed
        cdef int reason = GCCTL_REASON_SCHEDULED
        cdef int candidate
        self.due_at = 0 if self.sweeping else self.schedule.nearest
        self.owed = NONE_DUE
        for candidate in range(GCCTL_GENERATIONS):
            if due >> candidate & 1 and candidate > generation:
                generation = candidate
        # Not for a cancelled task, a closed generator, an interrupt or an exit: nothing failed.
        if exc_type is not None and issubclass(exc_type, Exception):
            self.failures += 1
            if self._emergency():
                generation = max(generation, self.emergency_generation)
                reason = GCCTL_REASON_EMERGENCY
        cdef bint look = self._time_to_check()
        if look:
            self.check_at = self._now() + self.check_interval_ns
        elif self._young_is_due():  # else it is for the look to say whether this is the time
            generation = max(generation, YOUNG)
        cdef bint full = (generation == FULL and self.concurrent
                          and reason == GCCTL_REASON_SCHEDULED)
        if generation != NONE_DUE:
            self._collect_at_boundary(0 if full else generation, reason)
            if full and self.owed != NONE_DUE:  # it did not run, and shall be the full one then
                full = False
                self.owed = FULL
        if self.long_pause.pause_ns:
            if self.holds:
                self.due_at = 0  # at the next boundary
            else:
                self.tell_long_pause()
        if due >> GCCTL_SLOT_REPORT & 1:
            self._tell("report", None)
        if due >> GCCTL_SLOT_RECYCLE & 1:
            self._tell("recycle", None)
        if look:
            self._tell("check", None)
        if full:
            self._tell("full", None)
        elif self.sweeping:
            self._tell("sweep_step", None)
        return 0

    cdef int _tell(self, kind, event) except -1:
        """Notify. What goes wrong there must not reach the request."""
        if not self.active:
            return 0
        try:
            self.notify(kind, event)
        except Exception:
            self.faults += 1
            if self.faults == 1:
                log_fault()
        return 0

    cdef bint _emergency(self) except -1:
        """May this failing request have a collection of its own?"""
        cdef int64_t now
        if self.emergency_interval_ns < 0:
            return False
        now = self._now()
        if now < self.emergency_at:
            return False
        self.emergency_at = now + self.emergency_interval_ns
        return True

    cdef int _collect_at_boundary(self, int generation, int reason) except -1:
        if self._collect(generation, reason, None) == DID_NOT_RUN:
            self.owed = max(self.owed, generation)
            self.due_at = self.requests + 1
            return 0
        # Recording was the last thing that _collect did: the newest event is ours.
        cdef gcctl_event event = self._newest()[0]
        if self.holds:
            # A fork waits for this collection. What is told goes to a log, and a lock of the log's
            # stream that is held while the fork is made stays locked in the child.
            self._note_long_pause(&event)
        elif event.pause_ns > self.max_pause_ns:
            self._tell("long_pause", event_as_tuple(&event))
        return 0

    cdef int64_t _collect(self, int generation, int reason, action) except? -2:
        """Collect and record. Finalizers may run any code meanwhile, and let other threads run."""
        cdef gcctl_event event
        cdef int64_t collected = 0
        cdef bint out, watching
        if self.own_thread != 0 or (self.holds and reason <= GCCTL_REASON_CONCURRENT):
            return DID_NOT_RUN
        # With a callback registered, CPython makes a dict for every collection and calls it twice:
        # 240-420 ns that tell us nothing about a collection of our own. So ours is out of the list
        # meanwhile, where it is the only one. Beside others it saves nothing, and is needed: they
        # may run while a collection of somebody else is not over, and then ours will not run.
        out = (len(self.callbacks) == 1 and self.callbacks[0] is self.callback
               and self.external_thread == 0)
        watching = not out and self._position() >= 0
        if out:
            # list.pop() gives memory back here, which the append() below would ask for again.
            Py_SET_SIZE(self.callbacks, 0)
            Py_DECREF(self.callback)
        event.in_flight = self.requests_in_flight
        self.own_seen = False
        self.own_thread = <unsigned long>PyThread_get_thread_ident()
        try:
            if self.young_after != NEVER:
                self.allocated_before += self._count()
            event.time_ns = self._now()
            if action is not None:
                collected = action()
                self.own_seen = collected >= 0
            else:
                collected = self._run_collector(generation)
            event.pause_ns = self._now() - event.time_ns
        finally:
            self.own_thread = 0
            if out and self.joined and self._position() < 0:
                self.callbacks.append(self.callback)
        if not self.own_seen and (watching or action is not None):
            return DID_NOT_RUN
        if action is None:
            self.external_thread = 0  # had its end been hidden from us: it is over, for ours ran
        event.generation = generation
        event.reason = reason
        event.collected = collected
        self._record(&event)
        return collected

    cdef bint _collector_is_free(self) except -1:
        """Does a collection run when one is asked for? Not while another does.

        What our callback saw does not tell: others may run before its start and after its end, and
        its end is hidden where it is taken out of the list, or one before it takes itself out.
        """
        cdef bint absent = self._position() < 0
        self.own_seen = False
        self.own_thread = <unsigned long>PyThread_get_thread_ident()
        if absent:
            self.callbacks.append(self.callback)
        try:
            self._run_collector(0)
        finally:
            self.own_thread = 0
            if absent and self._position() >= 0:
                del self.callbacks[self._position()]
        if self.own_seen:
            self.external_thread = 0
        return self.own_seen

    cdef int64_t _run_collector(self, int generation) except? -1:
        if self.fake_collect is not None:
            return self.fake_collect(generation)
        # PyGC_Collect is the shortest way to a full collection but does nothing while automatic GC
        # is off, and switching it on for the call would show to every finalizer and other thread.
        if generation == FULL and PyGC_IsEnabled():
            return PyGC_Collect()
        return gc_collect(generation)

    cdef Py_ssize_t _position(self):
        """Where our callback is in the list, by identity (others' == may do anything); or -1."""
        cdef Py_ssize_t position
        for position in range(len(self.callbacks)):
            if self.callbacks[position] is self.callback:
                return position
        return -1


@cython.final
@cython.no_gc  # what it refers to never refers to it
@cython.freelist(8)
@cython.auto_pickle(False)
cdef class Entry:
    cdef Core core
    cdef object failure  # the type of what has made it fail, or None
    cdef int forks  # of the process in which it is in flight
    cdef bint over
    # While it is in flight the pauses of the process up to its start; then those inside it.
    cdef int64_t pauses_ns

    def __cinit__(self):
        self.over = True  # until it is begun, which is for Core.begin() to do

    def __reduce__(self):
        """A copy is one that is over."""
        return _entry_that_is_over, (self.gc_pause_ns,)

    @property
    def gc_pause_ns(self):
        if self.over:
            return self.pauses_ns
        # Installing gcctl in the middle of a request sets the sum to 0.
        return max(self.core._paused() - self.pauses_ns, 0)

    @property
    def left(self):
        return self.over or self.forks != self.core.forks

    def fail(self, exc):
        if isinstance(exc, Exception):
            self.failure = type(exc)

    def leave(self, exc=None):
        if isinstance(exc, Exception):
            self.failure = type(exc)
        self._leave()

    cdef int _leave(self) except -1:
        cdef object failure = self.failure
        if self.over or self.forks != self.core.forks:
            return 0
        self.over = True
        self.pauses_ns = max(self.core._paused() - self.pauses_ns, 0)
        self.core._exit(failure)
        return 0

    def __dealloc__(self):
        # A response that its server has dropped and not closed, a coroutine that nobody finished.
        self._leave()


def _entry_that_is_over(int64_t pauses_ns):
    cdef Entry entry = Entry.__new__(Entry)
    entry.pauses_ns = pauses_ns
    return entry


cdef int64_t count_at(dict mapping, str key):
    """The number that is there, or -1 if there is none from 0 to 2**63 - 1."""
    cdef object value = mapping.get(key)
    cdef int overflow = 0
    cdef int64_t number
    if type(value) is not int:
        return -1
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    return number if overflow == 0 and number >= 0 else -1


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
