# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""The steps of a concurrent full collection: a child finds what is unreachable, this process frees
it.

collection.py decides when a step is taken, and what its result means. docs/concurrent-safety.md
says why a sweep cannot touch an object that is gone.

Thread safety: every function holds the GIL from beginning to end. But making an object may start a
collection, and a collection may run any code, which may close the window: nothing of a window is
certain after that. A process has one object allocator, so one `Window` can be open at a time. A
second one is refused.
"""

import gc
import os
from _tracemalloc import is_tracing

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from posix.unistd cimport getpid

from gcctl._concurrent.csrc cimport (
    GCCTL_ANSWER_DONE, GCCTL_ANSWER_NONE, GCCTL_ANSWER_UNEXPECTED, GCCTL_OK,
    gcctl_allocator_hook_attach, gcctl_allocator_hook_detach, gcctl_allocator_hook_is_outermost,
    gcctl_answer, gcctl_answer_free, gcctl_answer_is_sound, gcctl_answer_new,
    gcctl_answer_reference, gcctl_answer_state, gcctl_answer_type, gcctl_child_end,
    gcctl_child_kill, gcctl_child_reap, gcctl_finder_start, gcctl_finder_task,
    gcctl_freed_blocks_close, gcctl_freed_blocks_give_up, gcctl_freed_blocks_is_incomplete,
    gcctl_freed_blocks_open, gcctl_gc_calls_collect, gcctl_gc_calls_find, gcctl_gc_lists_find,
    gcctl_sweep, gcctl_sweep_is_alive, gcctl_sweep_move,
)


cdef extern from "Python.h":
    ctypedef struct PyInterpreterState:
        pass

    PyInterpreterState *PyInterpreterState_Head()
    PyInterpreterState *PyInterpreterState_Next(PyInterpreterState *interpreter)


# Compared with INTERFACE of gcctl/_base/installed_files.py when this module is imported.
INTERFACE = 1

gcctl_gc_calls_find()

cdef object gc_get_stats = gc.get_stats

cdef enum:
    NO_CHILD = 0
    DID_NOT_RUN = -1

cdef bint window_is_open = False

# Children that were killed and have not ended yet. They run only on idle processors, so their end
# may take a while.
cdef enum:
    MOST_DYING = 64
cdef int[MOST_DYING] dying
cdef int dying_count = 0
cdef int64_t dead_cpu_ns = 0  # CPU time of those that have ended since


def all_are_reaped():
    """Reap the killed children that have ended. Returns whether none is left."""
    global dying_count, dead_cpu_ns
    cdef gcctl_child_end end
    cdef int index, left = 0
    for index in range(dying_count):
        if gcctl_child_reap(dying[index], &end):
            dead_cpu_ns += end.cpu_ns
        else:
            dying[left] = dying[index]
            left += 1
    dying_count = left
    return left == 0


def cpu_of_killed_ns():
    """CPU time of all children that were killed and have been reaped since."""
    return dead_cpu_ns


def after_fork():
    """In a forked process: the killed children belong to its parent."""
    global dying_count
    dying_count = 0


cdef bint alone() noexcept:
    """Is this the only interpreter of the process?"""
    return PyInterpreterState_Next(PyInterpreterState_Head()) == NULL


cdef int64_t collect_young() except? -2:
    """How many objects were unreachable; DID_NOT_RUN if another collection is running."""
    cdef object before = young_collections()
    cdef int64_t collected = gcctl_gc_calls_collect(0)
    return collected if young_collections() != before else DID_NOT_RUN


cdef object young_collections():
    return gc_get_stats()[0]["collections"]


@cython.final
cdef class Window:
    """One concurrent collection: from the making of the child to the last candidate that is swept.

    A candidate is an object that the child found unreachable.
    """

    cdef gcctl_answer *answer  # shared with the child; NULL: not open
    cdef int64_t capacity  # of the answer
    cdef object traced  # tracemalloc was on when it was opened
    cdef int child  # process ID; NO_CHILD: reaped
    cdef int parent  # process ID of the one that has opened the window
    cdef gcctl_child_end child_end
    cdef gcctl_sweep sweep
    cdef int64_t swept  # objects that slices have found unreachable

    def __dealloc__(self):
        if self.answer != NULL:
            self._end()

    def open(self, int64_t capacity, int64_t table_bytes, int cpu_seconds):
        """Make the child. Returns 0.

        `capacity` is the most tracked objects that the child reads, and the most candidates that
        the answer can hold. `table_bytes` and `cpu_seconds` limit the child. Raises OSError or
        MemoryError if the system refuses, RuntimeError if something in the process is in the way.
        """
        global window_is_open
        cdef gcctl_finder_task task
        task.lists = gcctl_gc_lists_find()  # makes an object; from here on, none may be made
        if task.lists == NULL:
            raise RuntimeError("the collector's lists are not where they are expected")
        if window_is_open or self.answer != NULL:
            raise RuntimeError("a window is open")
        if not alone():
            raise RuntimeError("the process has several interpreters")
        if not all_are_reaped() and dying_count == MOST_DYING:
            raise RuntimeError("too many children have not ended yet")
        task.table_bytes = table_bytes
        task.cpu_seconds = cpu_seconds
        self.capacity = capacity
        self.answer = gcctl_answer_new(capacity)
        if self.answer == NULL:
            raise MemoryError("no memory for the answer")
        if gcctl_freed_blocks_open() != GCCTL_OK:
            gcctl_answer_free(self.answer, self.capacity)
            self.answer = NULL
            raise MemoryError("no memory for notes of what is freed")
        window_is_open = True
        self.sweep = gcctl_sweep(NULL, NULL, 0, 0)
        self.child_end = gcctl_child_end(0, 0)
        self.swept = 0
        self.parent = getpid()
        cdef int child = -1
        self.traced = is_tracing()
        if gcctl_allocator_hook_attach() == GCCTL_OK:
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
        """The state of the answer, as in csrc/concurrent/shared/answer.h; 0: none yet."""
        cdef int state
        if self.answer == NULL:
            return GCCTL_ANSWER_NONE
        state = gcctl_answer_state(self.answer)
        if state == GCCTL_ANSWER_DONE and not gcctl_answer_is_sound(self.answer, self.capacity):
            return GCCTL_ANSWER_UNEXPECTED
        return state

    def reaped(self):
        """Whether the child has ended and was waited for."""
        if self.child != NO_CHILD and gcctl_child_reap(self.child, &self.child_end):
            self.child = NO_CHILD
        return self.child == NO_CHILD

    def spoiled(self):
        """Why it is not known which blocks were freed since the opening; "": it is known."""
        if self.intact():
            return ""
        if self.answer == NULL:
            return "it was ended"
        if gcctl_freed_blocks_is_incomplete():
            return "no memory for notes of what was freed"
        if not alone():
            return "another interpreter appeared in the process"
        return "the object allocator was replaced in the meantime"

    cdef bint intact(self):
        # When tracemalloc stops, it puts back the allocator that it found at its start: our hook is
        # gone. A third wrapper may bring the hook back later, so being outermost is not enough.
        # Condition 2 in docs/concurrent-safety.md names the one case that this does not see.
        return (self.answer != NULL and gcctl_allocator_hook_is_outermost()
                and is_tracing() is self.traced
                and not gcctl_freed_blocks_is_incomplete() and alone())

    def slice(self, int64_t enough):
        """Have CPython decide about the next candidates, about `enough` of them.

        Returns the number of objects that it found unreachable, young ones included; -1 if it could
        do nothing because a collection is running. Moves nothing if the window is `spoiled`.
        """
        cdef int64_t young = collect_young()
        cdef int64_t collected
        if young == DID_NOT_RUN:
            return DID_NOT_RUN
        # From here to the last object moved, no Python code and no other thread runs.
        if not self.intact() or not self._begin_sweep():
            return young
        if gcctl_sweep_move(&self.sweep, enough) == 0:
            return young
        collected = gcctl_gc_calls_collect(0)  # runs any code, which may also close this window
        self.swept += collected
        return young + collected

    def collected(self):
        """How many objects slices have found unreachable, without the young ones."""
        return self.swept

    def left(self):
        """How many candidates are still to be swept."""
        return self.sweep.end - self.sweep.next if self._begin_sweep() else 0

    def seen(self):
        """How many candidates were moved; how many were left out because an object of their
        component was freed."""
        return self.sweep.moved, self.sweep.dropped

    def steps(self):
        """References among some of the unreachable objects, once the child has ended.

        Each is (from, attribute, to, type, type of the referent). The objects are numbers, the
        types are indexes of `types`.
        """
        cdef list found = []
        cdef gcctl_answer_reference reference
        cdef int64_t index = 0
        while (self.answer != NULL and self._begin_sweep() and self.answer.sampled
               and index < self.answer.references):
            reference = self.answer.reference[index]
            index += 1
            found.append((reference.from_, reference.attribute.decode("ascii", "replace"),
                          reference.to, reference.from_type, reference.to_type))
        return found

    def counts(self):
        """Numbers of the answer: tracked objects, unreachable ones, candidates, components, objects
        in the largest component, bytes of the child's tables."""
        if self.answer == NULL:
            return 0, 0, 0, 0, 0, 0
        return (self.answer.tracked, self.answer.unreachable, self.answer.candidates,
                self.answer.components, self.answer.largest_component, self.answer.table_bytes)

    def types(self):
        """The types of the unreachable objects.

        Returns a list of (name, number of objects, the type itself or None if it may be gone), and
        the number of objects of types that are not in the list.
        """
        cdef list found = []
        cdef gcctl_answer_type entry
        cdef int64_t index = 0
        cdef int64_t untyped = self.answer.untyped if self._begin_sweep() else 0
        while self._begin_sweep() and index < self.answer.types:
            entry = self.answer.type[index]
            index += 1
            example = None
            if self.intact() and gcctl_sweep_is_alive(entry.example):
                example = type(<object><PyObject *>entry.example)
            found.append((entry.name.decode("utf-8", "replace"), entry.objects, example))
        return found, untyped

    def memory_of_child(self):
        """Bytes that were the child's own when it answered; 0 if it could not tell."""
        if self.answer == NULL:
            return 0
        return max(self.answer.memory_bytes, 0)

    def usage_of_child(self):
        """CPU time in nanoseconds and wait status of a child that was reaped."""
        return self.child_end.cpu_ns, self.child_end.status

    def close(self):
        """Take the hook off the allocator, and kill the child if it still runs."""
        if self.answer != NULL:
            self._end()

    def after_fork(self):
        """In a forked process: the child belongs to its parent."""
        self.child = NO_CHILD
        if self.answer != NULL:
            self._end()

    cdef bint _begin_sweep(self):
        """Whether the answer is complete. Starts the sweep at its first candidate."""
        if self.state() != GCCTL_ANSWER_DONE:
            return False
        if self.sweep.next == NULL:
            self.sweep.next = &self.answer.candidate[0]
            self.sweep.end = self.sweep.next + self.answer.candidates
        return True

    cdef void _end(self) noexcept:
        global window_is_open, dying_count
        # Another interpreter with a GIL of its own may be in the middle of a call to the allocator.
        if alone():
            gcctl_allocator_hook_detach()
            gcctl_freed_blocks_close()
        else:
            gcctl_freed_blocks_give_up()
        if self.parent != getpid():  # in a forked process that has not noticed yet
            self.child = NO_CHILD
        if self.child != NO_CHILD and not gcctl_child_reap(self.child, &self.child_end):
            gcctl_child_kill(self.child)
            dying[dying_count] = self.child
            dying_count += 1
        self.child = NO_CHILD
        gcctl_answer_free(self.answer, self.capacity)
        self.answer = NULL
        window_is_open = False
