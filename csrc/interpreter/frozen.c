#include "interpreter/frozen.h"

static gcctl_gc_links *links_of(const PyObject *object) {
    return (gcctl_gc_links *)object - 1;
}

/* Makes one object follow another. The flags of both stay. */
static void join(gcctl_gc_links *links, gcctl_gc_links *next) {
    links->next = (links->next & GCCTL_GC_FLAGS) | (uintptr_t)next;
    next->previous = (next->previous & GCCTL_GC_FLAGS) | (uintptr_t)links;
}

/* Moves what lies from `first` to `last`, in one list, to the end of the list with this head. */
static void move(gcctl_gc_links *first, gcctl_gc_links *last, gcctl_gc_links *head) {
    join((gcctl_gc_links *)gcctl_gc_lists_previous(first),
         (gcctl_gc_links *)gcctl_gc_lists_next(last));
    join((gcctl_gc_links *)gcctl_gc_lists_previous(head), first);
    join(last, head);
}

void gcctl_frozen_append(const gcctl_frozen_lists *lists, PyObject *marker) {
    move(links_of(marker), links_of(marker), lists->permanent);
}

bool gcctl_frozen_is_last(const gcctl_frozen_lists *lists, const PyObject *object) {
    return gcctl_gc_lists_next(gcctl_gc_lists_links_of(object)) == lists->permanent;
}

int64_t gcctl_frozen_length(gcctl_frozen_markers markers) {
    const gcctl_gc_links *first = links_of(markers.first), *last = links_of(markers.last);
    const gcctl_gc_links *links = first;
    int64_t length = 0;
    while (links != last) {
        links = links == NULL ? NULL : gcctl_gc_lists_next(links);
        if (links == NULL || links == first) {
            return -1;
        }
        length++;
    }
    return length;
}

void gcctl_frozen_give_back(const gcctl_frozen_lists *lists, gcctl_frozen_markers markers) {
    move(links_of(markers.first), links_of(markers.last), lists->oldest);
}

void gcctl_frozen_take_again(const gcctl_frozen_lists *lists, gcctl_frozen_markers markers) {
    move(links_of(markers.first), links_of(markers.last), lists->permanent);
}
