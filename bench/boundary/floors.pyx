# cython: language_level=3
"""What the benchmarks measure against: compiled code that does nothing, and an allocation counter.

Compiled by compiled_floors.py when a benchmark runs; no part of the gcctl package.
"""

cimport cython

import gc


cdef extern from "Python.h":
    ctypedef struct PyMemAllocatorEx:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept nogil
        void *(*calloc)(void *ctx, size_t number, size_t size) noexcept nogil
        void *(*realloc)(void *ctx, void *block, size_t size) noexcept nogil
        void (*free)(void *ctx, void *block) noexcept nogil

    ctypedef enum PyMemAllocatorDomain:
        PYMEM_DOMAIN_RAW
        PYMEM_DOMAIN_MEM
        PYMEM_DOMAIN_OBJ

    void PyMem_GetAllocator(PyMemAllocatorDomain domain, PyMemAllocatorEx *allocator)
    void PyMem_SetAllocator(PyMemAllocatorDomain domain, PyMemAllocatorEx *allocator)


cdef object gc_collect = gc.collect


cdef class Context:
    """An empty context manager, as anybody would write it."""

    def __enter__(self):
        return self

    # Positional only: parsing keywords would make the floor dearer than it need be.
    def __exit__(self, exc_type, exc, traceback, /):
        pass


instance = Context()


def context():
    """A context manager from a call, as gcctl.request() is one; always the same."""
    return instance


# Without binding a method is an ordinary built-in one, which is the cheapest to call.
@cython.binding(False)
cdef class Method:
    def empty(self):
        pass

    def enter(self):
        return self

    def exit(self, exc_type, exc, traceback, /):
        pass

    def collect(self, int generation):
        """The collection alone, called the way the core calls it."""
        gc_collect(generation)


methods = Method()
empty = methods.empty  # bound once, as gcctl.tick is


@cython.binding(False)
def on_gc(phase, info, /):
    """An empty entry for gc.callbacks."""


# Public for the sake of its symbol, by which valgrind finds it (instructions_worker.py).
cdef public object floors_counted(object work, object argument):
    return work(argument)


def counted(work, argument):
    """`work(argument)`, between two dumps when valgrind was told of floors_counted."""
    return floors_counted(work, argument)


# An allocator that counts what it is asked for. Each domain passes everything on to the allocator
# that it had. Plain integers are enough: the process that counts has one thread.

cdef enum:
    DOMAINS = 3

cdef PyMemAllocatorEx[DOMAINS] original
cdef long asked = 0


cdef void *count_malloc(void *ctx, size_t size) noexcept nogil:
    global asked
    asked += 1
    cdef PyMemAllocatorEx *inner = <PyMemAllocatorEx *>ctx
    return inner.malloc(inner.ctx, size)


cdef void *count_calloc(void *ctx, size_t number, size_t size) noexcept nogil:
    global asked
    asked += 1
    cdef PyMemAllocatorEx *inner = <PyMemAllocatorEx *>ctx
    return inner.calloc(inner.ctx, number, size)


cdef void *count_realloc(void *ctx, void *block, size_t size) noexcept nogil:
    global asked
    asked += 1
    cdef PyMemAllocatorEx *inner = <PyMemAllocatorEx *>ctx
    return inner.realloc(inner.ctx, block, size)


cdef void pass_free(void *ctx, void *block) noexcept nogil:
    cdef PyMemAllocatorEx *inner = <PyMemAllocatorEx *>ctx
    inner.free(inner.ctx, block)


def allocations(work, argument):
    """How many times `work(argument)` asks for memory: malloc, calloc and realloc of all domains.

    What comes out of a free list of the interpreter is not seen.
    """
    global asked
    cdef PyMemAllocatorEx counting
    cdef int domain
    for domain in range(DOMAINS):
        PyMem_GetAllocator(<PyMemAllocatorDomain>domain, &original[domain])
    asked = 0
    try:
        for domain in range(DOMAINS):
            counting.ctx = &original[domain]
            counting.malloc = count_malloc
            counting.calloc = count_calloc
            counting.realloc = count_realloc
            counting.free = pass_free
            PyMem_SetAllocator(<PyMemAllocatorDomain>domain, &counting)
        work(argument)
        return asked
    finally:
        for domain in range(DOMAINS):
            PyMem_SetAllocator(<PyMemAllocatorDomain>domain, &original[domain])
