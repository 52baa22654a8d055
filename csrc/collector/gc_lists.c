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
