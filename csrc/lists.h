/* Where CPython keeps its lists of tracked objects, without its internal headers: those change
   between patch releases, the layout in memory has been the same from 3.8 to 3.15.

   In front of every object that can be tracked stand two words, the links of a circular list whose
   head lies in the interpreter's state; low bits of them are flags. A new object goes to the end of
   the list of generation 0, so what follows the newest one is that list's head. The heads of
   generations 1 and 2 lie behind it, each with two numbers (threshold and count) in between.

   Nothing here is trusted: the child that follows the lists dies of a wrong address, and the parent
   then goes without its answer. */
#ifndef GCCTL_LISTS_H
#define GCCTL_LISTS_H

#include <Python.h>
#include <stdint.h>

typedef struct gcctl_links {
    uintptr_t next;
    uintptr_t previous;
} gcctl_links;

enum { GCCTL_LISTS = 3 };

/* The head of generation 0's list, found by means of a new object; NULL with an exception set, or
   without one where the newest object is not at the end of a list. */
const gcctl_links *gcctl_lists_find(void);

static inline const gcctl_links *gcctl_lists_head(const gcctl_links *first, int generation) {
    const size_t apart = sizeof(gcctl_links) + 2 * sizeof(int);
    return (const gcctl_links *)((const char *)first + (size_t)generation * apart);
}

static inline const gcctl_links *gcctl_links_next(const gcctl_links *links) {
    return (const gcctl_links *)(links->next & ~(uintptr_t)7);
}

static inline const gcctl_links *gcctl_links_previous(const gcctl_links *links) {
    return (const gcctl_links *)(links->previous & ~(uintptr_t)7);
}

static inline const gcctl_links *gcctl_links_of(const PyObject *object) {
    return (const gcctl_links *)object - 1;
}

static inline PyObject *gcctl_links_object(const gcctl_links *links) {
    return (PyObject *)(uintptr_t)(links + 1);
}

#endif
