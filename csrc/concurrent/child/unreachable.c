#include "concurrent/child/unreachable.h"

#include "concurrent/child/components.h"
#include "concurrent/child/reach.h"
#include "concurrent/child/references.h"

static int mark_reachable(gcctl_heap *heap, int64_t capacity) {
    int error = gcctl_heap_read(heap, capacity);
    if (error == GCCTL_ANSWER_DONE) {
        error = gcctl_references_count(heap);
    }
    if (error == GCCTL_ANSWER_DONE) {
        error = gcctl_reach_mark(heap);
    }
    return error;
}

int gcctl_unreachable_find(gcctl_heap *heap, gcctl_answer *answer) {
    int error = mark_reachable(heap, answer->capacity);
    answer->tracked = heap->objects.members;
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    gcctl_object_set_keep_unmarked(&heap->objects);
    answer->unreachable = heap->objects.members;
    error = gcctl_components_write(heap, answer);
    answer->table_bytes = heap->bytes;
    return error;
}
