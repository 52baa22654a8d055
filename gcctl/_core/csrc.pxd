"""What this package uses of csrc/: one block per header, nothing else."""

from libc.stdint cimport int64_t


cdef extern from "core/clock.h" nogil:
    int64_t gcctl_clock_now()
    int64_t gcctl_clock_coarse()


cdef extern from "core/fork_page.h" nogil:
    ctypedef struct gcctl_fork_page:
        int64_t process
        int64_t in_flight
        int64_t due_at_request

    gcctl_fork_page *gcctl_fork_page_get()


cdef extern from "core/histogram.h" nogil:
    enum:
        GCCTL_HISTOGRAM_BUCKETS

    ctypedef struct gcctl_histogram:
        int64_t *count


cdef extern from "core/generations.h" nogil:
    enum:
        GCCTL_GENERATIONS


cdef extern from "core/schedule.h" nogil:
    enum:
        GCCTL_SLOT_REPORT
        GCCTL_SLOT_RECYCLE
        GCCTL_SLOTS

    ctypedef struct gcctl_schedule:
        int64_t *every
        int64_t nearest

    void gcctl_schedule_set(gcctl_schedule *schedule, const int64_t *every)
    int gcctl_schedule_take(gcctl_schedule *schedule, int64_t request)


cdef extern from "core/event.h" nogil:
    enum:
        GCCTL_REASON_SCHEDULED
        GCCTL_REASON_EMERGENCY
        GCCTL_REASON_CONCURRENT
        GCCTL_REASON_AUTOMATIC
        GCCTL_REASON_EXPLICIT
        GCCTL_REASONS

    ctypedef struct gcctl_event:
        int64_t time_ns
        int64_t pause_ns
        int64_t collected
        int64_t in_flight
        int generation
        int reason


cdef extern from "core/totals.h" nogil:
    ctypedef struct gcctl_totals:
        int64_t collections
        int64_t collected
        int64_t pause_total_ns
        int64_t pause_max_ns
        gcctl_histogram pauses


cdef extern from "core/recorder.h" nogil:
    enum:
        GCCTL_RING_SIZE

    ctypedef struct gcctl_tally:
        int64_t collections
        int64_t collected
        int64_t pause_total_ns

    ctypedef struct gcctl_recorder:
        gcctl_tally *tally
        gcctl_totals *generation
        int64_t *by_reason
        int64_t written
        gcctl_event *ring

    void gcctl_recorder_clear(gcctl_recorder *recorder)
    void gcctl_recorder_add(gcctl_recorder *recorder, const gcctl_event *event)


cdef extern from "core/last_minute.h" nogil:
    ctypedef struct gcctl_last_minute_slot:
        int64_t *collections
        gcctl_totals all

    ctypedef struct gcctl_last_minute:
        gcctl_last_minute_slot *slot

    void gcctl_last_minute_clear(gcctl_last_minute *minute)
    void gcctl_last_minute_add(gcctl_last_minute *minute, const gcctl_event *event)
    void gcctl_last_minute_sum(const gcctl_last_minute *minute, int64_t now_ns,
                               gcctl_last_minute_slot *sum)


cdef extern from "collector/gc_calls.h":
    int gcctl_gc_calls_find() except -1
    object gcctl_gc_calls_collect(int generation)
