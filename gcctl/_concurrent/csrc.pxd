"""What this package uses of csrc/: one block per header, nothing else."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t


cdef extern from "status.h" nogil:
    enum:
        GCCTL_OK


cdef extern from "concurrent/shared/answer.h" nogil:
    enum:
        GCCTL_ANSWER_NONE
        GCCTL_ANSWER_DONE
        GCCTL_ANSWER_UNEXPECTED

    ctypedef struct gcctl_answer_type:
        int64_t objects
        uint64_t example
        char *name

    ctypedef struct gcctl_answer_reference:
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
        int sampled
        int64_t references
        gcctl_answer_reference *reference
        gcctl_answer_type *type
        uint64_t *candidate

    gcctl_answer *gcctl_answer_new(int64_t capacity)
    void gcctl_answer_free(gcctl_answer *answer, int64_t capacity)
    bint gcctl_answer_is_sound(const gcctl_answer *answer, int64_t capacity)
    int gcctl_answer_state(const gcctl_answer *answer)


cdef extern from "collector/gc_lists.h":
    ctypedef struct gcctl_gc_links:
        pass

    const gcctl_gc_links *gcctl_gc_lists_find() except? NULL


cdef extern from "concurrent/child/finder.h":
    ctypedef struct gcctl_finder_task:
        const gcctl_gc_links *lists
        int64_t table_bytes
        int cpu_seconds

    int gcctl_finder_start(const gcctl_finder_task *task, gcctl_answer *answer)


cdef extern from "concurrent/parent/child.h" nogil:
    ctypedef struct gcctl_child_end:
        int64_t cpu_ns
        int status

    bint gcctl_child_reap(int child, gcctl_child_end *end)
    void gcctl_child_kill(int child)


cdef extern from "concurrent/parent/freed_blocks.h" nogil:
    int gcctl_freed_blocks_open()
    void gcctl_freed_blocks_close()
    void gcctl_freed_blocks_give_up()
    bint gcctl_freed_blocks_is_incomplete()


cdef extern from "concurrent/parent/allocator_hook.h":
    int gcctl_allocator_hook_attach()
    bint gcctl_allocator_hook_is_outermost()
    void gcctl_allocator_hook_detach()


cdef extern from "concurrent/parent/sweep.h":
    ctypedef struct gcctl_sweep:
        const uint64_t *next
        const uint64_t *end
        int64_t moved
        int64_t dropped

    int64_t gcctl_sweep_move(gcctl_sweep *sweep, int64_t enough)
    bint gcctl_sweep_is_alive(uint64_t candidate)


cdef extern from "collector/gc_calls.h":
    int gcctl_gc_calls_find() except -1
    object gcctl_gc_calls_collect(int generation)
