#include "concurrent/child/heap.h"

#include "concurrent/shared/answer.h"
#include "concurrent/shared/pages.h"

void *gcctl_heap_table(gcctl_heap *heap, size_t count, size_t entry_bytes, int *error) {
    heap->bytes += (int64_t)(count * entry_bytes);
    if (heap->bytes > heap->bytes_limit) {
        *error = GCCTL_ANSWER_TOO_LARGE;
        return NULL;
    }
    void *table = gcctl_pages_map((count + 1) * entry_bytes);
    if (table == NULL) {
        *error = GCCTL_ANSWER_NO_MEMORY;
    }
    return table;
}

static int read_list(gcctl_heap *heap, const gcctl_gc_links *head, uint32_t limit) {
    const gcctl_gc_links *before = head;
    for (const gcctl_gc_links *links = gcctl_gc_lists_next(head); links != head;
         before = links, links = gcctl_gc_lists_next(links)) {
        if (gcctl_gc_lists_previous(links) != before) {
            return GCCTL_ANSWER_NOT_FOUND;
        }
        if (heap->count == limit) {
            return GCCTL_ANSWER_TOO_LARGE;
        }
        heap->order[heap->count++] = gcctl_gc_lists_object_of(links);
        if (gcctl_heap_is_orphan(heap, heap->count)) {
            return GCCTL_ANSWER_PARENT_GONE;
        }
        if (gcctl_object_set_add(&heap->objects, (uintptr_t)gcctl_gc_lists_object_of(links)) != 0) {
            return heap->objects.map.incomplete ? GCCTL_ANSWER_NO_MEMORY : GCCTL_ANSWER_UNEXPECTED;
        }
    }
    return gcctl_gc_lists_previous(head) == before ? GCCTL_ANSWER_DONE : GCCTL_ANSWER_NOT_FOUND;
}

int gcctl_heap_read(gcctl_heap *heap, int64_t capacity) {
    if (gcctl_object_set_open(&heap->objects) != 0) {
        return GCCTL_ANSWER_NO_MEMORY;
    }
    /* A table for the most objects there may be: its untouched pages take no memory. */
    uint32_t limit = capacity < GCCTL_OBJECT_SET_MOST ? (uint32_t)capacity : GCCTL_OBJECT_SET_MOST;
    heap->order = gcctl_pages_map(limit * sizeof(PyObject *));
    if (heap->order == NULL) {
        return GCCTL_ANSWER_NO_MEMORY;
    }
    for (int generation = GCCTL_GC_LISTS - 1; generation >= 0; generation--) {
        int error = read_list(heap, gcctl_gc_lists_head(heap->lists, generation), limit);
        if (error != GCCTL_ANSWER_DONE) {
            return error;
        }
    }
    heap->bytes = heap->objects.chunks * (int64_t)sizeof(gcctl_region)
                  << (GCCTL_CHUNK_SHIFT - GCCTL_REGION_SHIFT);
    heap->bytes += (int64_t)(heap->count * sizeof(PyObject *));
    gcctl_object_set_assign_numbers(&heap->objects);
    return GCCTL_ANSWER_DONE;
}
