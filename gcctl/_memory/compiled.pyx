# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""The compiled half of watching memory; what each function promises is in protocol.py.

Thread safety: every function holds the GIL throughout, but for `trim`, which touches nothing of
ours meanwhile.
"""

cimport cython
from libc.stdint cimport int64_t

import os

from gcctl._memory.csrc cimport (
    GCCTL_GAUGE_MEMINFO, GCCTL_GAUGE_NUMBER, GCCTL_GAUGE_STATM, GCCTL_OK, gcctl_gauge,
    gcctl_gauge_close, gcctl_gauge_open, gcctl_gauge_read, gcctl_memory_rss, gcctl_memory_trim,
)

from gcctl._memory.protocol import MAX_THRESHOLDS

# Compared with INTERFACE of gcctl/_process/installation.py when this module is imported.
INTERFACE = 1

cdef enum:
    ROOM = 16  # MAX_THRESHOLDS
    CLOSED = -1

assert MAX_THRESHOLDS == ROOM


@cython.final
cdef class Memory:
    cdef gcctl_gauge own  # the resident set of this process
    cdef gcctl_gauge gauges[ROOM]
    cdef int64_t above[ROOM]
    cdef bint of_own[ROOM]  # read from `own`
    cdef int count
    cdef list files  # kind and path of each that is watched

    def __cinit__(self):
        cdef int index
        self.own.fd = CLOSED
        for index in range(ROOM):
            self.gauges[index].fd = CLOSED
        self.files = []

    def __dealloc__(self):
        self._close()

    def rss(self):
        return self._rss()

    def watch(self, thresholds):
        thresholds = tuple(thresholds)
        if len(thresholds) > ROOM:
            raise ValueError(f"{len(thresholds)} amounts of memory to watch: at most {ROOM}")
        # Before anything is changed, for it is Python code, in which threads may switch.
        cdef list files = [(each.kind, os.fsencode(each.path)) for each in thresholds]
        cdef bint same = files == self.files
        cdef int index
        if not same:
            self._close_gauges()
            self.files = files
        for index in range(len(files)):
            self.above[index] = thresholds[index].above_bytes
            self.of_own[index] = files[index][0] == "rss"
            if self.of_own[index] or (same and gcctl_gauge_read(&self.gauges[index]) >= 0):
                continue
            if same:
                gcctl_gauge_close(&self.gauges[index])
            gcctl_gauge_open(&self.gauges[index], files[index][1],
                             GCCTL_GAUGE_MEMINFO if files[index][0] == "meminfo"
                             else GCCTL_GAUGE_NUMBER)
        self.count = len(files)

    def over(self):
        cdef int index
        cdef int64_t used
        for index in range(self.count):
            used = self._rss() if self.of_own[index] else gcctl_gauge_read(&self.gauges[index])
            if used < 0 or used > self.above[index]:
                return True
        return False

    def trim(self):
        cdef int status
        with nogil:
            status = gcctl_memory_trim()
        return status == GCCTL_OK

    def close(self):
        self._close()

    def after_fork(self):
        gcctl_gauge_close(&self.own)

    cdef int64_t _rss(self) noexcept:
        cdef int64_t used = gcctl_gauge_read(&self.own)
        if used < 0:
            # Not open yet; or somebody has closed all descriptors, and ours may be another's now.
            gcctl_gauge_close(&self.own)
            if gcctl_gauge_open(&self.own, b"/proc/self/statm", GCCTL_GAUGE_STATM) == GCCTL_OK:
                used = gcctl_gauge_read(&self.own)
        return used if used >= 0 else gcctl_memory_rss()

    cdef void _close_gauges(self) noexcept:
        cdef int index
        for index in range(self.count):
            gcctl_gauge_close(&self.gauges[index])

    cdef void _close(self) noexcept:
        gcctl_gauge_close(&self.own)
        self._close_gauges()
