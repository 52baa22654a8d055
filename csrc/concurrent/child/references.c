#include "concurrent/child/references.h"

#include <stdbool.h>

#include "concurrent/shared/answer.h"

/* Immortal objects have counts above this. They are taken for reachable. */
enum { MANY = 1 << 30 };

typedef struct {
    gcctl_heap *heap;
    gcctl_prefetch counts; /* numbers of objects whose count is to be changed, plus 1 */
} counting;

static int32_t references_to(PyObject *object) {
    Py_ssize_t count = Py_REFCNT(object);
    /* A type with a tp_free of its own may free objects without the allocator, which tells the
       parent what was freed. So its objects are taken for reachable. No such type is known. */
    bool counts = 0 <= count && count < MANY && Py_TYPE(object)->tp_free == PyObject_GC_Del;
    return counts ? (int32_t)count : MANY;
}

/* The region of the object has been fetched; 0: no object. */
static void subtract_from(counting *state, uintptr_t object) {
    gcctl_heap *heap = state->heap;
    gcctl_member member;
    if (object == 0 || !gcctl_object_set_find(&heap->objects, object, &member)) {
        return;
    }
    uint32_t number = gcctl_object_set_number_of(&member);
    __builtin_prefetch(&heap->outside[number], 1);
    uintptr_t oldest = gcctl_prefetch_exchange(&state->counts, (uintptr_t)number + 1);
    if (oldest != 0) {
        heap->outside[oldest - 1]--;
    }
}

static int subtract(PyObject *object, void *context) {
    counting *state = context;
    subtract_from(state, gcctl_heap_fetch(state->heap, object));
    return 0;
}

/* Empties both queues. */
static void subtract_rest(counting *state) {
    for (int turn = 0; turn < GCCTL_PREFETCH_TURNS; turn++) {
        subtract_from(state, gcctl_prefetch_exchange(&state->heap->regions, 0));
    }
    for (int turn = 0; turn < GCCTL_PREFETCH_TURNS; turn++) {
        uintptr_t number = gcctl_prefetch_exchange(&state->counts, 0);
        if (number != 0) {
            state->heap->outside[number - 1]--;
        }
    }
}

int gcctl_references_count(gcctl_heap *heap) {
    static counting state; /* used by the child alone */
    gcctl_region *region;
    uint32_t number = 0;
    int error = GCCTL_ANSWER_DONE;
    heap->outside = gcctl_heap_table(heap, heap->objects.members, sizeof *heap->outside, &error);
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    state.heap = heap;
    for (uintptr_t at = 0; (region = gcctl_object_set_next_region(&heap->objects, &at)) != NULL;
         at += GCCTL_REGION_BYTES) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            PyObject *object = (PyObject *)gcctl_object_set_address(at, bit);
            heap->outside[number] += references_to(object);
            Py_TYPE(object)->tp_traverse(object, subtract, &state);
            if (gcctl_heap_is_orphan(heap, ++number)) {
                return GCCTL_ANSWER_PARENT_GONE;
            }
        }
    }
    subtract_rest(&state);
    return GCCTL_ANSWER_DONE;
}
