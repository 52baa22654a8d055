/* A part of the permanent generation that belongs to gcctl.

   gc.freeze() appends all objects of generations 0 to 2 to the permanent generation's list, and
   gc.unfreeze() appends all of that list to generation 2's: there is one permanent generation for
   everybody. So gcctl puts a marker in front of what it freezes and one behind it. What lies
   between its markers, and nothing else, can be linked into generation 2's list, and back.

   These are the operations on links that gc.freeze() and gc.unfreeze() do, on a part of a list. They
   are safe wherever Python code may call those two: the caller holds the GIL, and no other code runs
   between the first line and the last. docs/design.md has the argument. */
#ifndef GCCTL_FROZEN_H
#define GCCTL_FROZEN_H

#include <Python.h>
#include <stdbool.h>

#include "collector/gc_lists.h"

/* The lists that are relinked. */
typedef struct {
    gcctl_gc_links *oldest;    /* head of generation 2's */
    gcctl_gc_links *permanent; /* head of the permanent generation's */
} gcctl_frozen_lists;

/* Two objects of gcctl's, which the collector tracks. Borrowed. */
typedef struct {
    PyObject *first;
    PyObject *last;
} gcctl_frozen_markers;

/* Puts this object at the end of the permanent generation. */
void gcctl_frozen_append(const gcctl_frozen_lists *lists, PyObject *marker);

/* Is `object` the last one of the permanent generation? */
bool gcctl_frozen_is_last(const gcctl_frozen_lists *lists, const PyObject *object);

/* The number of links from the first marker to the last one; -1 where they do not lie in one list, in
   this order. */
int64_t gcctl_frozen_length(gcctl_frozen_markers markers);

/* Links the markers, and all that lies between them, to the end of generation 2. */
void gcctl_frozen_give_back(const gcctl_frozen_lists *lists, gcctl_frozen_markers markers);

/* Links the same to the end of the permanent generation. Since gcctl_frozen_give_back() nothing may
   have been collected, frozen or thawed. */
void gcctl_frozen_take_again(const gcctl_frozen_lists *lists, gcctl_frozen_markers markers);

#endif
