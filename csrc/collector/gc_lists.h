/* CPython's lists of tracked objects, found without CPython's internal headers. Those change
   between patch releases; the layout in memory is the same from 3.8 to 3.15.

   Two words stand in front of each object that can be tracked. They link it into a circular list,
   and their low bits are flags. The heads of the lists lie in the interpreter's state. A new object
   goes to the end of the list of generation 0, so the link after the newest object leads to the
   head of that list. The heads of generations 1 and 2 lie behind it. Between two heads are two
   numbers (threshold and count). Then comes the head of the permanent generation; up to 3.14 a
   pointer to the first head lies in between.

   The child of a concurrent collection trusts nothing here: if an address is wrong, it dies, and
   its parent gets no answer. The parent relinks objects only where gcctl_gc_lists_are_as_expected()
   said so. */
#ifndef GCCTL_GC_LISTS_H
#define GCCTL_GC_LISTS_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

/* The two words: of an object, or of the head of a list. */
typedef struct gcctl_gc_links {
    uintptr_t next;
    uintptr_t previous;
} gcctl_gc_links;

typedef struct {
    gcctl_gc_links head;
    int threshold;
    int count;
} gcctl_gc_generation;

enum { GCCTL_GC_LISTS = 3, GCCTL_GC_FLAGS = 7 };

/* Returns the head of generation 0's list, which it finds by making an object. Returns NULL
   with an exception set if there is no memory; NULL without one if the new object ends no list. */
const gcctl_gc_links *gcctl_gc_lists_find(void);

/* Are the lists of generations 0 to 2 and the permanent one where they should be? `first` is the
   head of generation 0's list, `thresholds` are those of gc.get_threshold(). */
bool gcctl_gc_lists_are_as_expected(const gcctl_gc_links *first, const int thresholds[]);

/* The head of a generation's list, from the head of generation 0's. */
static inline const gcctl_gc_links *gcctl_gc_lists_head(const gcctl_gc_links *first,
                                                        int generation) {
    return &((const gcctl_gc_generation *)first)[generation].head;
}

/* The head of the permanent generation's list. */
static inline const gcctl_gc_links *gcctl_gc_lists_permanent(const gcctl_gc_links *first) {
    const gcctl_gc_generation *behind = (const gcctl_gc_generation *)first + GCCTL_GC_LISTS;
    const gcctl_gc_links *const *pointer = (const gcctl_gc_links *const *)behind;
    return *pointer == first ? (const gcctl_gc_links *)(pointer + 1) : &behind->head;
}

static inline const gcctl_gc_links *gcctl_gc_lists_next(const gcctl_gc_links *links) {
    return (const gcctl_gc_links *)(links->next & ~(uintptr_t)GCCTL_GC_FLAGS);
}

static inline const gcctl_gc_links *gcctl_gc_lists_previous(const gcctl_gc_links *links) {
    return (const gcctl_gc_links *)(links->previous & ~(uintptr_t)GCCTL_GC_FLAGS);
}

static inline const gcctl_gc_links *gcctl_gc_lists_links_of(const PyObject *object) {
    return (const gcctl_gc_links *)object - 1;
}

static inline PyObject *gcctl_gc_lists_object_of(const gcctl_gc_links *links) {
    return (PyObject *)(uintptr_t)(links + 1);
}

#endif
