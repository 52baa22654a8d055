# A request that begins in one place and ends in another: what `Core.begin()` returns.
# Included by compiled.pyx; the pure-Python twin is pure_entry.py.

cimport cython
from libc.stdint cimport int64_t


@cython.final
@cython.no_gc  # what it refers to never refers to it
@cython.freelist(8)
@cython.auto_pickle(False)
cdef class Entry:
    cdef Core core
    cdef object failure  # the type of the exception that made it fail, or None
    cdef int64_t process  # in which it is in flight
    cdef bint over
    # While it is in flight: all pauses of the process before it began. After that: those inside it.
    cdef int64_t pauses_ns

    def __cinit__(self):
        self.over = True  # until Core.begin() begins it

    def __reduce__(self):
        """A copy is an entry that is over."""
        return _entry_that_is_over, (self.gc_pause_ns,)

    @property
    def gc_pause_ns(self):
        if self.over:
            return self.pauses_ns
        # Installing gcctl in the middle of a request sets the sum to 0.
        return max(self.core._paused() - self.pauses_ns, 0)

    @property
    def left(self):
        return self.over or self.process != self.core.page.process

    def fail(self, exc):
        if isinstance(exc, Exception):
            self.failure = type(exc)

    def leave(self, exc=None):
        if isinstance(exc, Exception):
            self.failure = type(exc)
        self._leave()

    cdef int _leave(self) except -1:
        cdef object failure = self.failure
        if self.over or self.process != self.core.page.process:
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
