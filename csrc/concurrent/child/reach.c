#include "concurrent/child/reach.h"

#include "concurrent/shared/answer.h"
#include "concurrent/shared/pages.h"

typedef struct {
    gcctl_heap *heap;
    PyObject **stack; /* marked, and not visited yet */
    size_t depth;
    size_t deepest;
    uint32_t visited;
    gcctl_prefetch popped; /* objects from the stack that are being fetched */
} marking;

/* The region of the object has been fetched; 0: no object. */
static void mark_object(marking *state, uintptr_t object) {
    gcctl_member member;
    if (object != 0 && gcctl_object_set_find(&state->heap->objects, object, &member) &&
        !(member.region->marked & member.bit)) {
        member.region->marked |= member.bit;
        state->stack[state->depth++] = (PyObject *)object;
        if (state->depth > state->deepest) {
            state->deepest = state->depth;
        }
    }
}

static int mark(PyObject *object, void *context) {
    marking *state = context;
    mark_object(state, gcctl_heap_fetch(state->heap, object));
    return 0;
}

/* Visits the objects on the stack, and all that are reached from them. */
static int empty_stack(marking *state) {
    /* Counts turns without a new object. After so many, nothing is left in the two queues. */
    for (int idle = 0; idle < 2 * GCCTL_PREFETCH_TURNS; idle++) {
        if (state->depth == 0) {
            mark_object(state, gcctl_prefetch_exchange(&state->heap->regions, 0));
        }
        uintptr_t next = state->depth > 0 ? (uintptr_t)state->stack[--state->depth] : 0;
        __builtin_prefetch((const void *)next);
        uintptr_t object = gcctl_prefetch_exchange(&state->popped, next);
        if (next != 0 || object != 0) {
            idle = 0;
        }
        if (object != 0) {
            Py_TYPE((PyObject *)object)->tp_traverse((PyObject *)object, mark, state);
            if (gcctl_heap_is_orphan(state->heap, ++state->visited)) {
                return GCCTL_ANSWER_PARENT_GONE;
            }
        }
    }
    return GCCTL_ANSWER_DONE;
}

static int mark_all(marking *state) {
    gcctl_heap *heap = state->heap;
    gcctl_region *region;
    uint32_t number = 0;
    for (uintptr_t at = 0; (region = gcctl_object_set_next_region(&heap->objects, &at)) != NULL;
         at += GCCTL_REGION_BYTES) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            if (heap->outside[number++] > 0) {
                mark_object(state, gcctl_object_set_address(at, bit));
            }
        }
        int error = state->depth > 0 ? empty_stack(state) : GCCTL_ANSWER_DONE;
        if (error != GCCTL_ANSWER_DONE) {
            return error;
        }
    }
    return GCCTL_ANSWER_DONE;
}

int gcctl_reach_mark(gcctl_heap *heap) {
    static marking state; /* used by the child alone */
    state.heap = heap;
    /* Usually next to nothing of it is touched, so it does not count as a table. */
    state.stack = gcctl_pages_map((heap->objects.members + (size_t)1) * sizeof(PyObject *));
    if (state.stack == NULL) {
        return GCCTL_ANSWER_NO_MEMORY;
    }
    int error = mark_all(&state);
    heap->bytes += (int64_t)(state.deepest * sizeof(PyObject *));
    return error;
}
