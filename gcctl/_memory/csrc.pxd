"""What this package uses of csrc/: one block per header, nothing else."""

from libc.stdint cimport int64_t


cdef extern from "status.h" nogil:
    enum:
        GCCTL_OK


cdef extern from "gauge.h" nogil:
    enum:
        GCCTL_GAUGE_NUMBER
        GCCTL_GAUGE_STATM
        GCCTL_GAUGE_MEMINFO

    ctypedef struct gcctl_gauge:
        int fd

    int gcctl_gauge_open(gcctl_gauge *gauge, const char *path, int kind)
    int64_t gcctl_gauge_read(const gcctl_gauge *gauge)
    void gcctl_gauge_close(gcctl_gauge *gauge)


cdef extern from "memory.h" nogil:
    int64_t gcctl_memory_rss()
    int gcctl_memory_trim()
