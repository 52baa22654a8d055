# What is kept of the collections, and who is told of them.
# Included by compiled.pyx; the pure-Python twin is pure_recorder.py.

cimport cython
from libc.stdint cimport int64_t

from gcctl._core.csrc cimport (
    GCCTL_GENERATIONS, GCCTL_RING_SIZE, gcctl_clock_now, gcctl_event, gcctl_fork_page,
    gcctl_recorder, gcctl_last_minute, gcctl_last_minute_add, gcctl_last_minute_clear,
    gcctl_recorder_add, gcctl_recorder_clear,
)

from gcctl._base.log import log_fault


@cython.internal  # nobody makes one: it is a part of Core
cdef class Recorder:
    # Every cdef method is final, so that it is called directly, and inlined.

    # The hot path: what is read or written at every request, for all parts of the core. It comes
    # first, so that it lies in one line of the cache.
    cdef gcctl_fork_page *page  # the process's; own_page in a core that was made by hand
    cdef int64_t requests
    cdef int64_t check_at_ns  # time of the next check; INT64_MAX: never
    cdef int64_t young_after  # net allocations from which on generation 0 is due; 0: never
    cdef object context

    # Replacements, for tests and simulation; None: the real thing.
    cdef object fake_clock
    cdef object fake_collect
    cdef object fake_count

    cdef bint active
    cdef gcctl_fork_page own_page
    cdef int64_t process  # its number as in the page, which is cleared in a forked child
    cdef int64_t faults
    cdef int64_t allocated_before  # net, up to the last collection
    cdef object notify
    cdef int64_t max_pause_ns
    cdef gcctl_event long_pause  # the longest away from boundaries, not told of yet; 0 ns: none
    cdef gcctl_recorder recorder
    cdef gcctl_last_minute last_minute

    def __cinit__(self):
        self.page = &self.own_page
        self.process = self.page.process = 1

    def tallies(self):
        return tallies_as_tuple(&self.recorder)

    def paused_ns(self):
        return self._paused()

    def allocated(self):
        return self.allocated_before

    def events(self):
        cdef gcctl_recorder recorder = self.recorder
        return events_as_tuple(&recorder)

    def now(self):
        return self._now()

    def tell_long_pause(self):
        cdef gcctl_event event = self.long_pause
        if event.pause_ns:
            self.long_pause.pause_ns = 0
            self._tell("long_pause", event_as_tuple(&event))

    @cython.final
    cdef int _clear_records(self) except -1:
        self.allocated_before = 0
        self.faults = 0
        self.long_pause.pause_ns = 0
        gcctl_recorder_clear(&self.recorder)
        gcctl_last_minute_clear(&self.last_minute)

    @cython.final
    cdef inline void _record(self, const gcctl_event *event) noexcept:
        gcctl_recorder_add(&self.recorder, event)
        gcctl_last_minute_add(&self.last_minute, event)

    @cython.final
    cdef inline gcctl_event *_newest(self) noexcept:
        return &self.recorder.ring[(self.recorder.written - 1) % GCCTL_RING_SIZE]

    @cython.final
    cdef inline void _note_long_pause(self, const gcctl_event *event) noexcept:
        """To be told of at the next boundary."""
        if event.pause_ns > self.max_pause_ns and event.pause_ns > self.long_pause.pause_ns:
            self.long_pause = event[0]
            if self.active:
                self.page.due_at_request = 0

    @cython.final
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

    @cython.final
    cdef inline int64_t _paused(self) noexcept:
        cdef int64_t total = 0
        cdef int index
        for index in range(GCCTL_GENERATIONS):
            total += self.recorder.generation[index].pause_total_ns
        return total

    @cython.final
    cdef inline int64_t _now(self) except? -1:
        if self.fake_clock is None:
            return gcctl_clock_now()
        return self.fake_clock()
