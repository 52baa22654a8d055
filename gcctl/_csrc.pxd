"""The C core as Cython sees it: one block per header of csrc/, nothing else."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t


cdef extern from "clock.h" nogil:
    int64_t gcctl_clock_now()
    int64_t gcctl_clock_coarse()


cdef extern from "histogram.h" nogil:
    enum:
        GCCTL_HISTOGRAM_BUCKETS

    ctypedef struct gcctl_histogram:
        int64_t *count


cdef extern from "schedule.h" nogil:
    enum:
        GCCTL_GENERATIONS
        GCCTL_SLOT_REPORT
        GCCTL_SLOT_RECYCLE
        GCCTL_SLOTS

    ctypedef struct gcctl_schedule:
        int64_t *every
        int64_t nearest

    void gcctl_schedule_set(gcctl_schedule *schedule, const int64_t *every)
    int gcctl_schedule_take(gcctl_schedule *schedule, int64_t request)


cdef extern from "recorder.h" nogil:
    enum:
        GCCTL_REASON_SCHEDULED
        GCCTL_REASON_EMERGENCY
        GCCTL_REASON_CONCURRENT
        GCCTL_REASON_EXTERNAL
        GCCTL_REASONS
        GCCTL_RING_SIZE

    ctypedef struct gcctl_event:
        int64_t time_ns
        int64_t pause_ns
        int64_t collected
        int64_t in_flight
        int generation
        int reason

    ctypedef struct gcctl_totals:
        int64_t collections
        int64_t collected
        int64_t pause_total_ns
        int64_t pause_max_ns
        gcctl_histogram pauses

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


cdef extern from "window.h" nogil:
    ctypedef struct gcctl_slot:
        int64_t *collections
        gcctl_totals all

    ctypedef struct gcctl_window:
        gcctl_slot *slot

    void gcctl_window_clear(gcctl_window *window)
    void gcctl_window_add(gcctl_window *window, const gcctl_event *event)
    void gcctl_window_sum(const gcctl_window *window, int64_t now_ns, gcctl_slot *sum)


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


cdef extern from "answer.h" nogil:
    enum:
        GCCTL_ANSWER_NONE
        GCCTL_ANSWER_DONE
        GCCTL_ANSWER_UNEXPECTED

    ctypedef struct gcctl_type_count:
        int64_t objects
        uint64_t example
        char *name

    ctypedef struct gcctl_step:
        uint32_t from_ "from"
        uint32_t to
        uint16_t from_type
        uint16_t to_type
        char *attribute

    ctypedef struct gcctl_answer:
        int64_t tracked
        int64_t unreachable
        int64_t candidates
        int64_t components
        int64_t largest_component
        int64_t table_bytes
        int64_t memory_bytes
        int64_t types
        int64_t untyped
        gcctl_type_count *type
        int sampled
        int64_t steps
        gcctl_step *step
        uint64_t *candidate

    int gcctl_answer_state(const gcctl_answer *answer)


cdef extern from "child.h" nogil:
    ctypedef struct gcctl_child_usage:
        int64_t cpu_ns
        int status

    bint gcctl_child_reap(int child, gcctl_child_usage *usage)
    void gcctl_child_kill(int child)


cdef extern from "freed.h" nogil:
    int gcctl_freed_open()
    void gcctl_freed_close()
    void gcctl_freed_give_up()
    bint gcctl_freed_is_incomplete()


cdef extern from "lists.h":
    ctypedef struct gcctl_links:
        pass

    const gcctl_links *gcctl_lists_find() except? NULL


cdef extern from "finder.h":
    ctypedef struct gcctl_finder_task:
        const gcctl_links *lists
        PyObject *unfreeze
        int64_t table_bytes
        int cpu_seconds

    int gcctl_finder_start(const gcctl_finder_task *task, gcctl_answer *answer)
    gcctl_answer *gcctl_answer_new(int64_t capacity)
    void gcctl_answer_free(gcctl_answer *answer, int64_t capacity)
    bint gcctl_answer_is_sound(const gcctl_answer *answer, int64_t capacity)


cdef extern from "hook.h":
    int gcctl_hook_attach()
    bint gcctl_hook_is_outermost()
    void gcctl_hook_detach()


cdef extern from "sweep.h":
    ctypedef struct gcctl_sweep:
        const uint64_t *next
        const uint64_t *end
        int64_t moved
        int64_t dropped

    int64_t gcctl_sweep_move(gcctl_sweep *sweep, int64_t enough)
    bint gcctl_sweep_is_alive(uint64_t candidate)
