"""What this package uses of csrc/: one block per header, nothing else."""

from libc.stdint cimport int64_t


cdef extern from "status.h" nogil:
    enum:
        GCCTL_OK


cdef extern from "memory/usage.h" nogil:
    enum:
        GCCTL_USAGE_NUMBER
        GCCTL_USAGE_STATM
        GCCTL_USAGE_MEMINFO

    ctypedef struct gcctl_usage:
        int fd

    int gcctl_usage_open(gcctl_usage *usage, const char *path, int kind)
    int64_t gcctl_usage_read(const gcctl_usage *usage)
    void gcctl_usage_close(gcctl_usage *usage)


cdef extern from "memory/resident_set.h" nogil:
    int64_t gcctl_resident_set_bytes()


cdef extern from "memory/trim.h" nogil:
    int gcctl_trim_memory()
