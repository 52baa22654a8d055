# Collections: run and timed where gcctl causes them, noticed where somebody else does.
# Included by compiled.pyx; the pure-Python twin is pure_collector.py.

import gc

cimport cython
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport int64_t

from gcctl._core.csrc cimport (
    GCCTL_GENERATIONS, GCCTL_REASON_AUTOMATIC, GCCTL_REASON_CONCURRENT, GCCTL_REASON_EXPLICIT,
    GCCTL_REASONS, gcctl_event, gcctl_gc_calls_collect, gcctl_gc_calls_find,
)


cdef extern from "Python.h":
    ctypedef struct PyInterpreterState:
        pass

    PyInterpreterState *PyInterpreterState_Get()
    PyInterpreterState *PyInterpreterState_Main()
    Py_ssize_t PyGC_Collect() except? -1
    bint PyGC_IsEnabled()
    void Py_SET_SIZE(object sized, Py_ssize_t size)
    void Py_DECREF(object owned)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) noexcept
    int Py_AddPendingCall(int (*call)(void *) except -1, void *argument) noexcept


gcctl_gc_calls_find()

cdef object gc_get_count = gc.get_count
cdef object gc_get_threshold = gc.get_threshold
cdef object gc_callbacks = gc.callbacks

cdef enum:
    NONE_DUE = -1
    DID_NOT_RUN = -1
    NEVER = 0
    YOUNG = 0
    FULL = 2


@cython.internal  # nobody makes one: it is the lower half of Core
cdef class Collector(Recorder):
    # As in Recorder every cdef method is final.

    cdef bint external  # collections that others cause are recorded
    cdef bint telling_external

    # The collection that is running, if any. Thread 0 is none.
    cdef unsigned long own_thread
    cdef bint own_seen  # our callback saw our own collection start: it did run
    cdef unsigned long external_thread
    cdef int64_t external_start_ns
    cdef int64_t external_in_flight
    cdef int external_reason
    cdef unsigned long explicit_thread  # is about to collect explicitly
    cdef bint told_of_explicit  # explicit() is called for gc.collect()
    cdef int holds  # forks being made and gcctl.hold() sections: boundaries collect nothing

    cdef list callbacks  # gc.callbacks
    cdef object callback  # our own, always this very object
    cdef bint callback_wanted  # it is in the list, or will be when the running collection is over

    def collect(self, int generation, int reason, action=None):
        if not 0 <= generation < GCCTL_GENERATIONS or not 0 <= reason < GCCTL_REASONS:
            raise ValueError(f"no such generation or reason: {generation}, {reason}")
        cdef int64_t collected = self._collect(generation, reason, action)
        if collected != DID_NOT_RUN:
            self._note_long_pause(self._newest())
        return collected

    def explicit(self, bint on):
        self.told_of_explicit = True
        self.explicit_thread = <unsigned long>PyThread_get_thread_ident() if on else 0

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

    def on_gc(self, phase, dict info, /):
        """Our gc callback. No lock, no exception: it runs in the middle of anything."""
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        cdef gcctl_event event
        if self.own_thread == me:
            self.own_seen = True
            return
        cdef int64_t generation
        if self.page.process == 0:  # a forked child, which may never come to a boundary
            self.external_thread = 0
            Py_AddPendingCall(notice_fork_soon, <void *>self)
            return
        if phase == "start":
            generation = count_at(info, "generation")
            self.external_reason = self._reason_of_external(me, generation)
            self._note_allocated()
            self.external_in_flight = self.page.in_flight
            self.external_thread = me
            if (self.telling_external and generation == FULL
                    and self.external_reason == GCCTL_REASON_EXPLICIT):
                self._tell("explicit_full", None)
            self.external_start_ns = self._now()
        elif self.external_thread != 0:
            event.pause_ns = self._now() - self.external_start_ns
            self._record_external(&event, info)
            # The last thing done: another thread must not take the collector for free before it is.
            self.external_thread = 0

    @cython.final
    cdef int _set_up(self, collect, clock, count, callbacks) except -1:
        self.fake_collect = collect
        self.fake_clock = clock
        self.fake_count = count
        self.callbacks = gc_callbacks if callbacks is None else callbacks
        self.callback = self.on_gc
        self.notify = None

    @cython.final
    cdef int _set_orders(self, orders, notify) except -1:
        self.max_pause_ns = orders.max_pause_ns
        self.young_after = orders.young_after
        self.external = orders.external
        self.telling_external = orders.tell_external
        self.notify = notify

    @cython.final
    cdef int _attach(self) except -1:
        self.callback_wanted = True
        if self._position() < 0:
            self.callbacks.append(self.callback)

    @cython.final
    cdef bint _detach(self) except -1:
        """False when somebody had removed our callback meanwhile."""
        self.young_after = NEVER
        self.notify = None
        cdef Py_ssize_t position = self._position()
        # While we collect, we have taken it out of the list ourselves.
        cdef bint as_left = position >= 0 or not self.callback_wanted or self.own_thread != 0
        if position >= 0:
            del self.callbacks[position]
        self.callback_wanted = False
        return as_left

    @cython.final
    cdef void _forget_the_parent(self) noexcept:
        """In the child: the requests, the threads and the holds were the parent's."""
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        self.page.in_flight = 0
        self._be_another_process()
        self.holds = 0
        # A finalizer that forks is inside a collection, and so is its child: that one goes on.
        if self.own_thread != me:
            self.own_thread = 0
        if self.external_thread != me:
            self.external_thread = 0

    @cython.final
    cdef int _reason_of_external(self, unsigned long me, int64_t generation) except -1:
        """Why a collection begins that gcctl did not cause."""
        if self.explicit_thread == me:
            return GCCTL_REASON_EXPLICIT
        # What is left: PyGC_Collect(), which C code calls, goes through everything.
        if self.fake_collect is not None or (self.told_of_explicit and generation != FULL):
            return GCCTL_REASON_AUTOMATIC
        if not 0 <= generation < GCCTL_GENERATIONS or not PyGC_IsEnabled():
            return GCCTL_REASON_EXPLICIT
        cdef tuple counts = gc_get_count(), thresholds = gc_get_threshold()
        if counts[0] > thresholds[0] or counts[generation] > thresholds[generation]:
            return GCCTL_REASON_AUTOMATIC
        return GCCTL_REASON_EXPLICIT

    @cython.final
    cdef inline void _be_another_process(self) noexcept:
        self.process += 1
        self.page.process = self.process

    @cython.final
    cdef int _record_external(self, gcctl_event *event, dict info) except -1:
        # All callbacks share this dict, and may have put anything into it.
        cdef int64_t collected = count_at(info, "collected")
        cdef int64_t generation = count_at(info, "generation")
        if not self.external or collected < 0 or not 0 <= generation < GCCTL_GENERATIONS:
            return 0
        event.time_ns = self.external_start_ns
        event.collected = collected
        event.generation = <int>generation
        event.reason = self.external_reason
        event.in_flight = self.external_in_flight
        self._record(event)
        self._note_long_pause(event)
        if self.telling_external:
            self._tell("external", event_as_tuple(event))
        return 0

    @cython.final
    cdef inline int64_t _count(self) except? -1:
        """Net allocations since the last collection."""
        if self.fake_count is None:
            return (<tuple>gc_get_count())[0]
        return self.fake_count()

    @cython.final
    cdef inline int _note_allocated(self) except -1:
        """A collection begins, which sets the interpreter's count to 0."""
        if self.young_after != NEVER:
            self.allocated_before += self._count()
        return 0

    @cython.final
    cdef int64_t _collect(self, int generation, int reason, action) except? -2:
        """Collect and record. Finalizers may run any code meanwhile, and let other threads run."""
        cdef gcctl_event event
        cdef int64_t collected = 0
        cdef bint hidden, watching
        if self.own_thread != 0 or (self.holds and reason <= GCCTL_REASON_CONCURRENT):
            return DID_NOT_RUN
        hidden = self._hide_callback()
        watching = not hidden and self._position() >= 0
        event.in_flight = self.page.in_flight
        self.own_seen = False
        self.own_thread = <unsigned long>PyThread_get_thread_ident()
        try:
            self._note_allocated()
            event.time_ns = self._now()
            if action is not None:
                collected = action()
                self.own_seen = collected >= 0
            else:
                collected = self._run_collector(generation)
            event.pause_ns = self._now() - event.time_ns
        finally:
            self.own_thread = 0
            if hidden and self.callback_wanted and self._position() < 0:
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

    @cython.final
    cdef inline bint _hide_callback(self) noexcept:
        """Take our callback out of the list for a collection of our own, if that saves anything.

        With a callback in the list, CPython makes a dict for every collection and calls the
        callback twice: 240-420 ns that tell us nothing about a collection of our own. Beside other
        callbacks hiding ours saves nothing, and ours is needed: the others may run while a
        collection of somebody else is not over, and then our collection does not run.
        """
        if (len(self.callbacks) != 1 or self.callbacks[0] is not self.callback
                or self.external_thread != 0):
            return False
        # list.pop() gives memory back here, which the append() afterwards would ask for again.
        Py_SET_SIZE(self.callbacks, 0)
        Py_DECREF(self.callback)
        return True

    @cython.final
    cdef bint _collector_is_free(self) except -1:
        """Does a collection run when one is asked for? Not while another does.

        What our callback saw does not tell. Others may run before its start and after its end. Its
        end is hidden where our callback is taken out of the list, or one before it takes itself
        out.
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

    @cython.final
    cdef int64_t _run_collector(self, int generation) except? -1:
        if self.fake_collect is not None:
            return self.fake_collect(generation)
        # PyGC_Collect is the shortest way to a full collection but does nothing while automatic GC
        # is off, and switching it on for the call would show to every finalizer and other thread.
        if generation == FULL and PyGC_IsEnabled():
            return PyGC_Collect()
        return gcctl_gc_calls_collect(generation)

    @cython.final
    cdef Py_ssize_t _position(self):
        """Where our callback is in the list, by identity (others' == may do anything); or -1."""
        cdef Py_ssize_t position
        for position in range(len(self.callbacks)):
            if self.callbacks[position] is self.callback:
                return position
        return -1


cdef int notice_fork_soon(void *core) except -1 with gil:
    """As the main thread calls it, between two of its steps. Only the core of the process, which is
    there for ever, has a page that is cleared."""
    if PyInterpreterState_Get() == PyInterpreterState_Main():  # up to 3.11 it may be another one
        (<object>core).notice_fork()
    return 0


cdef int64_t count_at(dict mapping, str key):
    """The number at this key, or -1 if there is none from 0 to 2**63 - 1."""
    cdef object value = mapping.get(key)
    cdef int overflow = 0
    cdef int64_t number
    if type(value) is not int:
        return -1
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    return number if overflow == 0 and number >= 0 else -1
