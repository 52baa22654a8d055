# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""A full collection beside the process: a child finds what is unreachable, this process frees it.

The steps; who takes them when, and what is to be made of it, is decided in gcctl/concurrent_run.py.
docs/concurrent-safety.md says why this cannot touch an object that is not there any more.

Thread safety: every function holds the GIL throughout. But making an object may set off a
collection, and so any code: what a window has may be gone after that. One process has one object
allocator, so there is one `Window` at a time that is open; a second one is refused.
"""

import gc
import os
from _tracemalloc import is_tracing

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from gcctl._concurrent.csrc cimport (
    GCCTL_ANSWER_DONE, GCCTL_ANSWER_NONE, GCCTL_ANSWER_UNEXPECTED, GCCTL_OK, gcctl_answer,
    gcctl_answer_free, gcctl_answer_is_sound, gcctl_answer_new, gcctl_answer_state,
    gcctl_child_kill, gcctl_child_reap, gcctl_child_usage, gcctl_finder_start, gcctl_finder_task,
    gcctl_freed_close, gcctl_freed_give_up, gcctl_freed_is_incomplete, gcctl_freed_open,
    gcctl_hook_attach, gcctl_hook_detach, gcctl_hook_is_outermost, gcctl_lists_find, gcctl_step,
    gcctl_sweep, gcctl_sweep_is_alive, gcctl_sweep_move, gcctl_type_count,
)


cdef extern from "Python.h":
    ctypedef struct PyInterpreterState:
        pass

    PyInterpreterState *PyInterpreterState_Head()
    PyInterpreterState *PyInterpreterState_Next(PyInterpreterState *interpreter)


# Compared with INTERFACE of gcctl/_process/installation.py when this module is imported.
INTERFACE = 1

cdef object gc_collect = gc.collect
cdef object gc_unfreeze = gc.unfreeze

cdef object gc_get_stats = gc.get_stats

cdef enum:
    NO_CHILD = 0
    DID_NOT_RUN = -1

cdef bint window_is_open = False

# Children that were killed, and take their time: they run only when nobody else wants to, also to
# their end.
cdef enum:
    MOST_DYING = 64
cdef int[MOST_DYING] dying
cdef int dying_count = 0
cdef int64_t dead_cpu_ns = 0  # CPU time that those had taken, in the end


def all_are_reaped():
    """Whether no child of windows that are closed is left; to be asked now and then."""
    global dying_count, dead_cpu_ns
    cdef gcctl_child_usage usage
    cdef int index, left = 0
    for index in range(dying_count):
        if gcctl_child_reap(dying[index], &usage):
            dead_cpu_ns += usage.cpu_ns
        else:
            dying[left] = dying[index]
            left += 1
    dying_count = left
    return left == 0


def cpu_of_killed_ns():
    """CPU time of all children that were killed and have been reaped since."""
    return dead_cpu_ns


def after_fork():
    """In a forked process, whose children they are not."""
    global dying_count
    dying_count = 0


cdef bint alone() noexcept:
    """Is this the only interpreter of the process?"""
    return PyInterpreterState_Next(PyInterpreterState_Head()) == NULL


cdef int64_t collect_young() except? -2:
    """How many were unreachable; DID_NOT_RUN while another collection runs."""
    cdef object before = young_collections()
    cdef int64_t collected = gc_collect(0)
    return collected if young_collections() != before else DID_NOT_RUN


cdef object young_collections():
    return gc_get_stats()[0]["collections"]


@cython.final
cdef class Window:
    """The time from the picture that a child is made of to the last of its candidates."""

    cdef gcctl_answer *answer  # shared with the child; NULL: not open
    cdef int64_t capacity  # of the answer
    cdef object traced  # tracemalloc was on when it was opened
    cdef int child  # to be waited for; or NO_CHILD
    cdef gcctl_child_usage usage  # of a child that has ended
    cdef gcctl_sweep sweep
    cdef int64_t swept  # objects found unreachable

    def __dealloc__(self):
        if self.answer != NULL:
            self._end()

    def open(self, int64_t capacity, int64_t table_bytes, int cpu_seconds):
        """Begin: make the child. Returns 0.

        `capacity`: candidates there is room for; `table_bytes`, `cpu_seconds`: what the child may
        use. Raises OSError where the system refuses, RuntimeError where something else does.
        """
        global window_is_open
        cdef gcctl_finder_task task
        task.lists = gcctl_lists_find()  # makes an object; no other is made from here on
        if task.lists == NULL:
            raise RuntimeError("the collector's lists are not where they are expected")
        if window_is_open or self.answer != NULL:
            raise RuntimeError("a window is open")
        if not alone():
            raise RuntimeError("the process has several interpreters")
        if not all_are_reaped() and dying_count == MOST_DYING:
            raise RuntimeError("too many children have not ended yet")
        task.unfreeze = <PyObject *>gc_unfreeze
        task.table_bytes = table_bytes
        task.cpu_seconds = cpu_seconds
        self.capacity = capacity
        self.answer = gcctl_answer_new(capacity)
        if self.answer == NULL:
            raise MemoryError("no memory for the answer")
        if gcctl_freed_open() != GCCTL_OK:
            gcctl_answer_free(self.answer, self.capacity)
            self.answer = NULL
            raise MemoryError("no memory for notes of what is freed")
        window_is_open = True
        self.sweep = gcctl_sweep(NULL, NULL, 0, 0)
        self.usage = gcctl_child_usage(0, 0)
        self.swept = 0
        cdef int child = -1
        self.traced = is_tracing()
        if gcctl_hook_attach() == GCCTL_OK:
            child = gcctl_finder_start(&task, self.answer)
        else:
            self._end()
            raise RuntimeError("the object allocator was wrapped by too many others")
        if child < 0:
            self._end()
            raise OSError(-child, os.strerror(-child))
        self.child = child
        return 0

    def state(self):
        """The child's answer as in csrc/answer.h; 0: none yet."""
        cdef int state
        if self.answer == NULL:
            return GCCTL_ANSWER_NONE
        state = gcctl_answer_state(self.answer)
        if state == GCCTL_ANSWER_DONE and not gcctl_answer_is_sound(self.answer, self.capacity):
            return GCCTL_ANSWER_UNEXPECTED
        return state

    def reaped(self):
        """Whether the child has ended, and is gone."""
        if self.child != NO_CHILD and gcctl_child_reap(self.child, &self.usage):
            self.child = NO_CHILD
        return self.child == NO_CHILD

    def spoiled(self):
        """Why not everything that was freed since the window was opened is known; "": it is."""
        if self.intact():
            return ""
        if self.answer == NULL:
            return "it was ended"
        if gcctl_freed_is_incomplete():
            return "no memory for notes of what was freed"
        if not alone():
            return "another interpreter appeared in the process"
        return "the object allocator was replaced in the meantime"

    cdef bint intact(self):
        # tracemalloc puts back what it found, whoever has come since. That it went and came again
        # behind a third wrapper would not show in who is outermost.
        return (self.answer != NULL and gcctl_hook_is_outermost() and is_tracing() is self.traced
                and not gcctl_freed_is_incomplete() and alone())

    def slice(self, int64_t enough):
        """Have CPython decide about some `enough` further candidates.

        Returns the number of objects it found unreachable, young ones too; -1 where nothing could
        be done because a collection is running. Moves nothing where the window is `spoiled`.
        """
        cdef int64_t young = collect_young()
        cdef int64_t collected
        if young == DID_NOT_RUN:
            return DID_NOT_RUN
        # From here to the last object moved no Python code runs, nor any other thread.
        if not self.intact() or not self._begin_sweep():
            return young
        if gcctl_sweep_move(&self.sweep, enough) == 0:
            return young
        collected = gc_collect(0)  # in which anything may happen, also to this window
        self.swept += collected
        return young + collected

    def collected(self):
        """How many objects slices have found unreachable, besides what was young."""
        return self.swept

    def left(self):
        """How many candidates there are still."""
        return self.sweep.end - self.sweep.next if self._begin_sweep() else 0

    def seen(self):
        """How many candidates were moved, and how many left out because somebody had freed one of
        their component."""
        return self.sweep.moved, self.sweep.dropped

    def steps(self):
        """Of the answer, once the child has ended: references among some of the unreachable
        objects, as (from, attribute, to, type, type of the referent); objects are numbers, types
        places in `types`."""
        cdef list found = []
        cdef gcctl_step step
        cdef int64_t index = 0
        while (self.answer != NULL and self._begin_sweep() and self.answer.sampled
               and index < self.answer.steps):
            step = self.answer.step[index]
            index += 1
            found.append((step.from_, step.attribute.decode("ascii", "replace"), step.to,
                          step.from_type, step.to_type))
        return found

    def counts(self):
        """Of the answer: tracked, unreachable, candidates, components, objects in the largest,
        bytes of tables."""
        if self.answer == NULL:
            return 0, 0, 0, 0, 0, 0
        return (self.answer.tracked, self.answer.unreachable, self.answer.candidates,
                self.answer.components, self.answer.largest_component, self.answer.table_bytes)

    def types(self):
        """Of the answer: for each type of unreachable object its name, number of objects, and the
        type itself where it is still there; and the number of objects of further types."""
        cdef list found = []
        cdef gcctl_type_count count
        cdef int64_t index = 0
        cdef int64_t untyped = self.answer.untyped if self._begin_sweep() else 0
        while self._begin_sweep() and index < self.answer.types:
            count = self.answer.type[index]
            index += 1
            example = None
            if self.intact() and gcctl_sweep_is_alive(count.example):
                example = type(<object><PyObject *>count.example)
            found.append((count.name.decode("utf-8", "replace"), count.objects, example))
        return found, untyped

    def memory_of_child(self):
        """Once the child has answered: bytes that were its own; 0 where it could not tell."""
        if self.answer == NULL:
            return 0
        return max(self.answer.memory_bytes, 0)

    def usage_of_child(self):
        """Of a child that was reaped: CPU time in nanoseconds, wait status."""
        return self.usage.cpu_ns, self.usage.status

    def close(self):
        """End it: the allocator as it was, the child gone, or killed and to be reaped."""
        if self.answer != NULL:
            self._end()

    def after_fork(self):
        """In a forked process, whose child it is not."""
        self.child = NO_CHILD
        if self.answer != NULL:
            self._end()

    cdef bint _begin_sweep(self):
        """Whether there is an answer to sweep by."""
        if self.state() != GCCTL_ANSWER_DONE:
            return False
        if self.sweep.next == NULL:
            self.sweep.next = &self.answer.candidate[0]
            self.sweep.end = self.sweep.next + self.answer.candidates
        return True

    cdef void _end(self) noexcept:
        global window_is_open, dying_count
        # Interpreters that have a GIL of their own may be in the middle of a call to the allocator.
        if alone():
            gcctl_hook_detach()
            gcctl_freed_close()
        else:
            gcctl_freed_give_up()
        if self.child != NO_CHILD and not gcctl_child_reap(self.child, &self.usage):
            gcctl_child_kill(self.child)
            dying[dying_count] = self.child
            dying_count += 1
        self.child = NO_CHILD
        gcctl_answer_free(self.answer, self.capacity)
        self.answer = NULL
        window_is_open = False
