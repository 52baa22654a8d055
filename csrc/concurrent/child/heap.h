/* The heap as the child sees it: what all steps of its search share. It knows none of the steps.

   The child only reads the objects, since each page that it wrote to would be copied. CPython's
   collector keeps its counts of references in the objects' headers; here they are in a table. Of
   Python's functions only tp_traverse is called. */
#ifndef GCCTL_HEAP_H
#define GCCTL_HEAP_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/gc_lists.h"
#include "concurrent/child/object_set.h"
#include "concurrent/child/prefetch.h"
#include "concurrent/child/process.h"

typedef struct {
    const gcctl_gc_links *lists; /* the head of generation 0's */
    gcctl_object_set objects;    /* all tracked objects; in the end the unreachable ones alone */
    PyObject **order;            /* all tracked objects, in the order of the collector's lists */
    uint32_t count;              /* in order[] */
    int32_t *outside;            /* per object: references to it from outside the set */
    gcctl_prefetch regions;      /* objects whose regions are being fetched */
    int64_t bytes;               /* of tables, about */
    int64_t bytes_limit;
    int parent; /* process ID */
} gcctl_heap;

/* Reads the objects in the collector's lists, but not more than `capacity`. Returns a state of the
   answer, as all steps do: GCCTL_ANSWER_DONE means that the next step can come. */
int gcctl_heap_read(gcctl_heap *heap, int64_t capacity);

/* Returns a table of so many entries, zeroed. If it would be over the limit, or if the system
   refuses, returns NULL and writes the reason to *error. */
void *gcctl_heap_table(gcctl_heap *heap, size_t count, size_t entry_bytes, int *error);

/* Starts to fetch the region of an object that is referred to. Returns an object whose region has
   arrived, or 0. */
static inline uintptr_t gcctl_heap_fetch(gcctl_heap *heap, PyObject *object) {
    gcctl_region *region = gcctl_object_set_region_of(&heap->objects, (uintptr_t)object);
    if (region == NULL) {
        return 0;
    }
    __builtin_prefetch(region, 1);
    return gcctl_prefetch_exchange(&heap->regions, (uintptr_t)object);
}

/* Objects visited between two checks whether the parent still runs. */
enum { GCCTL_HEAP_CHECK_EVERY = 1 << 14 };

/* Has the parent gone? Most calls do not check: `visited` grows by 1 from call to call. */
static inline bool gcctl_heap_is_orphan(const gcctl_heap *heap, uint32_t visited) {
    return visited % GCCTL_HEAP_CHECK_EVERY == 0 && !gcctl_process_has_parent(heap->parent);
}

#endif
