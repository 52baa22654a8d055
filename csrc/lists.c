#include "lists.h"

const gcctl_links *gcctl_lists_find(void) {
    PyObject *newest = PyList_New(0);
    if (newest == NULL) {
        return NULL;
    }
    const gcctl_links *links = gcctl_links_of(newest);
    const gcctl_links *head = gcctl_links_next(links);
    if (head != NULL && (head->previous & ~(uintptr_t)7) != (uintptr_t)links) {
        head = NULL;
    }
    Py_DECREF(newest);
    return head;
}
