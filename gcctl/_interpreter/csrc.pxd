"""What this package uses of csrc/: one block per header, nothing else."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t


cdef extern from "collector/gc_lists.h" nogil:
    ctypedef struct gcctl_gc_links:
        pass

    const gcctl_gc_links *gcctl_gc_lists_find() except? NULL
    bint gcctl_gc_lists_are_as_expected(const gcctl_gc_links *first, const int *thresholds)
    const gcctl_gc_links *gcctl_gc_lists_head(const gcctl_gc_links *first, int generation)
    const gcctl_gc_links *gcctl_gc_lists_permanent(const gcctl_gc_links *first)
    const gcctl_gc_links *gcctl_gc_lists_next(const gcctl_gc_links *links)
    const gcctl_gc_links *gcctl_gc_lists_previous(const gcctl_gc_links *links)


cdef extern from "interpreter/frozen.h" nogil:
    ctypedef struct gcctl_frozen_lists:
        gcctl_gc_links *oldest
        gcctl_gc_links *permanent

    ctypedef struct gcctl_frozen_markers:
        PyObject *first
        PyObject *last

    void gcctl_frozen_append(const gcctl_frozen_lists *lists, PyObject *marker)
    bint gcctl_frozen_is_last(const gcctl_frozen_lists *lists, const PyObject *object)
    int64_t gcctl_frozen_length(gcctl_frozen_markers markers)
    void gcctl_frozen_give_back(const gcctl_frozen_lists *lists, gcctl_frozen_markers markers)
    void gcctl_frozen_take_again(const gcctl_frozen_lists *lists, gcctl_frozen_markers markers)


cdef extern from "interpreter/exchange.h":
    ctypedef PyObject *(*PyCFunction)(PyObject *, PyObject *)

    ctypedef struct gcctl_exchange:
        PyCFunction original
        bint made


cdef extern from "interpreter/stand_ins.h":
    ctypedef PyObject *(*gcctl_with_keywords)(PyObject *, PyObject *const *, Py_ssize_t,
                                              PyObject *)
    ctypedef PyObject *(*gcctl_with_arguments)(PyObject *, PyObject *const *, Py_ssize_t)

    ctypedef struct gcctl_stand_ins:
        gcctl_exchange collect
        gcctl_exchange get_objects
        gcctl_exchange freeze
        gcctl_exchange unfreeze
        gcctl_exchange get_freeze_count
        gcctl_exchange get_referrers

    gcctl_stand_ins gcctl_stand_ins_made

    ctypedef struct gcctl_stand_ins_calls:
        gcctl_with_keywords collect
        gcctl_with_keywords get_objects
        PyCFunction freeze
        PyCFunction unfreeze
        PyCFunction get_freeze_count
        PyCFunction get_referrers
        gcctl_with_arguments get_referrers_fast

    void gcctl_stand_ins_switch(bint on, const gcctl_stand_ins_calls *calls)
    const char *gcctl_stand_ins_make(PyObject *gc)
    bint gcctl_stand_ins_undo()


cdef extern from "collector/gc_calls.h":
    object gcctl_gc_calls_module()
    int gcctl_gc_calls_find() except -1
    object gcctl_gc_calls_freeze()
    object gcctl_gc_calls_unfreeze()


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
