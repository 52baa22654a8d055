#include "concurrent/parent/sweep.h"

#include <Python.h>

#include "collector/gc_lists.h"
#include "concurrent/parent/freed_blocks.h"
#include "concurrent/shared/answer.h"

/* Candidates are fetched into the cache this far ahead. */
enum { AHEAD = 8 };

static PyObject *object_at(uint64_t candidate) {
    return (PyObject *)(uintptr_t)(candidate & ~(uint64_t)GCCTL_LAST_OF_COMPONENT);
}

/* docs/concurrent-safety.md has the argument. In short: if the block was not freed, its memory
   still holds an object with a collector's header. Such an object may be dead without its block
   being freed: it is in a free list, or waits for its deallocation. Then it is not tracked, or its
   reference count is 0. The bits come first, because a freed block may be unmapped. */
bool gcctl_sweep_is_alive(uint64_t candidate) {
    PyObject *object = object_at(candidate);
    uintptr_t header = (uintptr_t)gcctl_gc_lists_links_of(object);
    /* The block begins at the header. Or two words before it, if the type has words there. */
    return !gcctl_freed_blocks_has(header) &&
           !gcctl_freed_blocks_has(header - 2 * sizeof(PyObject *)) &&
           gcctl_gc_lists_links_of(object)->next != 0 && Py_REFCNT(object) > 0;
}

static const uint64_t *end_of_component(const gcctl_sweep *sweep) {
    const uint64_t *candidate = sweep->next;
    while (candidate < sweep->end - 1 && !(*candidate & GCCTL_LAST_OF_COMPONENT)) {
        candidate++;
    }
    return candidate + 1;
}

static bool is_whole(const gcctl_sweep *sweep, const uint64_t *end) {
    for (const uint64_t *candidate = sweep->next; candidate < end; candidate++) {
        if (candidate + AHEAD < sweep->end) {
            __builtin_prefetch(gcctl_gc_lists_links_of(object_at(candidate[AHEAD])), 1);
        }
        if (!gcctl_sweep_is_alive(*candidate)) {
            return false;
        }
    }
    return true;
}

int64_t gcctl_sweep_move(gcctl_sweep *sweep, int64_t enough) {
    int64_t moved = 0;
    for (const uint64_t *begin = sweep->next;
         sweep->next - begin < enough && sweep->next < sweep->end;) {
        const uint64_t *end = end_of_component(sweep);
        if (is_whole(sweep, end)) {
            for (const uint64_t *candidate = sweep->next; candidate < end; candidate++) {
                PyObject *object = object_at(*candidate);
                PyObject_GC_UnTrack(object);
                PyObject_GC_Track(object);
            }
            moved += end - sweep->next;
        } else {
            sweep->dropped += end - sweep->next;
        }
        sweep->next = end;
    }
    sweep->moved += moved;
    return moved;
}
