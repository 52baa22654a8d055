#include "collector/gc_lists.h"

const gcctl_gc_links *gcctl_gc_lists_find(void) {
    PyObject *newest = PyList_New(0);
    if (newest == NULL) {
        return NULL;
    }
    const gcctl_gc_links *links = gcctl_gc_lists_links_of(newest);
    const gcctl_gc_links *head = gcctl_gc_lists_next(links);
    if (head != NULL && gcctl_gc_lists_previous(head) != links) {
        head = NULL;
    }
    Py_DECREF(newest);
    return head;
}

static bool is_a_head(const gcctl_gc_links *head) {
    const gcctl_gc_links *next = gcctl_gc_lists_next(head);
    const gcctl_gc_links *previous = gcctl_gc_lists_previous(head);
    return next != NULL && previous != NULL && gcctl_gc_lists_previous(next) == head &&
           gcctl_gc_lists_next(previous) == head &&
           !((head->next | head->previous) & GCCTL_GC_FLAGS);
}

bool gcctl_gc_lists_are_as_expected(const gcctl_gc_links *first, const int thresholds[]) {
    const gcctl_gc_generation *generations = (const gcctl_gc_generation *)first;
    for (int generation = 0; generation < GCCTL_GC_LISTS; generation++) {
        /* Numbers first: links are only followed where the numbers are right. */
        if (generations[generation].threshold != thresholds[generation]) {
            return false;
        }
    }
    for (int generation = 0; generation < GCCTL_GC_LISTS; generation++) {
        if (!is_a_head(gcctl_gc_lists_head(first, generation))) {
            return false;
        }
    }
    const gcctl_gc_generation *permanent =
        (const gcctl_gc_generation *)gcctl_gc_lists_permanent(first);
    return permanent->threshold == 0 && permanent->count == 0 && is_a_head(&permanent->head);
}
