/* What of the tracked objects nothing reaches: the child's work.

   Only reads the heap that it shares with its parent (each page written to would be copied): the
   counts of references that CPython's collector keeps in the objects' headers are in a table of its
   own here. No function of Python is called but tp_traverse. */
#ifndef GCCTL_GRAPH_H
#define GCCTL_GRAPH_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "answer.h"
#include "child.h"
#include "lists.h"
#include "tracked.h"

/* A queue of what is being fetched from memory: what is put in comes out so many turns later. On an
   aged heap nearly every reference leads to memory that no cache has. */
enum { GCCTL_FETCHING = 16 };
typedef struct {
    uintptr_t entry[GCCTL_FETCHING]; /* 0: none */
    unsigned turn;
} gcctl_fetching;

static inline uintptr_t gcctl_fetching_exchange(gcctl_fetching *queue, uintptr_t entry) {
    uintptr_t *place = &queue->entry[queue->turn++ % GCCTL_FETCHING];
    uintptr_t oldest = *place;
    *place = entry;
    return oldest;
}

typedef struct {
    const gcctl_links *lists; /* head of generation 0's */
    gcctl_tracked objects;
    PyObject **order;    /* all objects as the collector has them, oldest generation first */
    uint32_t count;      /* in order[] */
    int32_t *references; /* per object: those that do not come from objects of the set */
    PyObject **stack;    /* reached, and not gone through yet */
    size_t depth;
    size_t deepest;
    uint32_t gone_through;
    gcctl_fetching regions; /* of objects that are referred to */
    gcctl_fetching counts;  /* numbers of objects whose count is to be changed, plus 1 */
    gcctl_fetching reached; /* objects from the stack */
    uint32_t *component;    /* per unreachable object: another one of its component, or itself */
    uint32_t current;       /* whose referents are being visited */
    int64_t bytes;          /* of tables, about */
    int64_t bytes_limit;
    int parent; /* process ID */
} gcctl_graph;

/* The whole of it. Returns what is to become answer->state. */
int gcctl_graph_answer(gcctl_graph *graph, gcctl_answer *answer);

/* Its parts. First: leaves in references[] what comes from outside, from variables, C code and
   untracked objects. Then: marks what is reached from objects that have such references. */
int gcctl_graph_count(gcctl_graph *graph);
int gcctl_graph_mark(gcctl_graph *graph);

/* Last: the unreachable objects, component after component, and of which types. */
int gcctl_components_answer(gcctl_graph *graph, gcctl_answer *answer);

/* A table of so many entries, zeroed; NULL (and why in *error): refused, or over the limit. */
void *gcctl_graph_table(gcctl_graph *graph, size_t count, size_t entry_bytes, int *error);

/* Starts to fetch the region of an object that is referred to. Returns the object whose region is
   there by now, or 0. */
static inline uintptr_t gcctl_graph_fetch(gcctl_graph *graph, PyObject *object) {
    gcctl_region *region = gcctl_tracked_region_of(&graph->objects, (uintptr_t)object);
    if (region == NULL) {
        return 0;
    }
    __builtin_prefetch(region, 1);
    return gcctl_fetching_exchange(&graph->regions, (uintptr_t)object);
}

/* So many objects are gone through between two looks at whether the parent is there. */
enum { GCCTL_LOOK_EVERY = 1 << 14 };

/* Has the parent gone? Looks now and then, by the number of objects gone through. */
static inline bool gcctl_graph_is_orphan(const gcctl_graph *graph, uint32_t number) {
    return number % GCCTL_LOOK_EVERY == 0 && !gcctl_child_has_parent(graph->parent);
}

#endif
