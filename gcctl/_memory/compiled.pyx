# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""The compiled twin that reads memory. protocol.py says what each method promises.

Thread safety: every method holds the GIL from beginning to end. Only `trim` releases it, and
touches no data of ours in the meantime.
"""

cimport cython
from libc.stdint cimport int64_t

import os

from gcctl._memory.csrc cimport (
    GCCTL_OK, GCCTL_USAGE_MEMINFO, GCCTL_USAGE_NUMBER, GCCTL_USAGE_STATM,
    gcctl_resident_set_bytes, gcctl_trim_memory, gcctl_usage, gcctl_usage_close,
    gcctl_usage_open, gcctl_usage_read,
)

from gcctl._memory.protocol import MAX_THRESHOLDS

# Compared with INTERFACE of gcctl/_base/installed_files.py when this module is imported.
INTERFACE = 1

cdef enum:
    MOST_WATCHED = 16  # MAX_THRESHOLDS, as C needs it
    CLOSED = -1

assert MAX_THRESHOLDS == MOST_WATCHED


@cython.final
cdef class Memory:
    cdef gcctl_usage own  # the resident set of this process
    cdef gcctl_usage usages[MOST_WATCHED]
    cdef int64_t above[MOST_WATCHED]  # bytes
    cdef bint is_own[MOST_WATCHED]  # it is the resident set, which is read from `own`
    cdef int count
    cdef list files  # kind and path of each file that is watched

    def __cinit__(self):
        cdef int index
        self.own.fd = CLOSED
        for index in range(MOST_WATCHED):
            self.usages[index].fd = CLOSED
        self.files = []

    def __dealloc__(self):
        self._close()

    def rss(self):
        return self._rss()

    def watch(self, thresholds):
        thresholds = tuple(thresholds)
        if len(thresholds) > MOST_WATCHED:
            raise ValueError(
                f"{len(thresholds)} amounts of memory to watch: at most {MOST_WATCHED}"
            )
        # First, before anything changes: this is Python code, in which threads may switch.
        cdef list files = [(each.kind, os.fsencode(each.path)) for each in thresholds]
        cdef bint same = files == self.files
        cdef int index
        if not same:
            self._close_usages()
            self.files = files
        for index in range(len(files)):
            self.above[index] = thresholds[index].above_bytes
            self.is_own[index] = files[index][0] == "rss"
            if self.is_own[index] or (same and gcctl_usage_read(&self.usages[index]) >= 0):
                continue
            if same:
                gcctl_usage_close(&self.usages[index])
            gcctl_usage_open(&self.usages[index], files[index][1],
                             GCCTL_USAGE_MEMINFO if files[index][0] == "meminfo"
                             else GCCTL_USAGE_NUMBER)
        self.count = len(files)

    def over(self):
        cdef int index
        cdef int64_t used
        for index in range(self.count):
            used = self._rss() if self.is_own[index] else gcctl_usage_read(&self.usages[index])
            if used < 0 or used > self.above[index]:
                return True
        return False

    def trim(self):
        cdef int status
        with nogil:
            status = gcctl_trim_memory()
        return status == GCCTL_OK

    def close(self):
        self._close()

    def after_fork(self):
        gcctl_usage_close(&self.own)

    cdef int64_t _rss(self) noexcept:
        cdef int64_t used = gcctl_usage_read(&self.own)
        if used < 0:
            # It is not open yet. Or other code closed all descriptors, and the number of ours may
            # belong to another file now.
            gcctl_usage_close(&self.own)
            if gcctl_usage_open(&self.own, b"/proc/self/statm", GCCTL_USAGE_STATM) == GCCTL_OK:
                used = gcctl_usage_read(&self.own)
        return used if used >= 0 else gcctl_resident_set_bytes()

    cdef void _close_usages(self) noexcept:
        cdef int index
        for index in range(self.count):
            gcctl_usage_close(&self.usages[index])

    cdef void _close(self) noexcept:
        gcctl_usage_close(&self.own)
        self._close_usages()
