"""What this package uses of csrc/: one block per header, nothing else."""

from libc.stdint cimport int64_t


cdef extern from "interpreter/asker.h":
    enum:
        GCCTL_ASKER_IDLE
        GCCTL_ASKER_HOLD
        GCCTL_ASKER_BATCH
        GCCTL_ASKER_PROFILE
        GCCTL_ASKER_ALARMS

    void gcctl_asker_begin(int (*answer)(void *alarm) except -1)
    void gcctl_asker_set(int alarm, int64_t ask_at_ns, int64_t enable_at_ns,
                         int64_t resident_bytes)
    void gcctl_asker_clear(int alarm)
    int64_t gcctl_asker_take(int alarm)


cdef extern from "interpreter/timer_thread.h":
    void gcctl_timer_thread_pause()
    void gcctl_timer_thread_resume()


cdef extern from "interpreter/alone.h":
    void gcctl_alone_exchange(object posix)
    void gcctl_alone_put_back()
