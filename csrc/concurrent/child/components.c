#include "concurrent/child/components.h"

#include <stdbool.h>

#include "concurrent/child/type_counts.h"

/* Objects are known by their numbers. The leader of a component is one of its objects. */
typedef struct {
    gcctl_heap *heap;
    gcctl_answer *answer;
    uint32_t *parent;  /* per object: another object of its component; itself if it leads */
    uint32_t *size;    /* per leader: objects of its component that are not written yet */
    int64_t *position; /* per leader: of its next object in the answer, plus 1; 0: none yet */
    uint32_t current;  /* the object that is visited */
} joining;

/* Union-find, with paths halved on the way. */
static uint32_t leader_of(uint32_t *parent, uint32_t number) {
    while (parent[number] != number) {
        parent[number] = parent[parent[number]];
        number = parent[number];
    }
    return number;
}

/* Joins the current object's component and that of an object it refers to. */
static int join(PyObject *object, void *context) {
    joining *state = context;
    gcctl_member member;
    if (gcctl_object_set_find(&state->heap->objects, (uintptr_t)object, &member)) {
        uint32_t one = leader_of(state->parent, state->current);
        uint32_t other = leader_of(state->parent, gcctl_object_set_number_of(&member));
        state->parent[one > other ? one : other] = one > other ? other : one;
    }
    return 0;
}

static void join_all(joining *state) {
    gcctl_region *region;
    const gcctl_object_set *objects = &state->heap->objects;
    for (uint32_t number = 0; number < objects->members; number++) {
        state->parent[number] = number;
    }
    state->current = 0;
    for (uintptr_t at = 0; (region = gcctl_object_set_next_region(objects, &at)) != NULL;
         at += GCCTL_REGION_BYTES) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            PyObject *object = (PyObject *)gcctl_object_set_address(at, bit);
            gcctl_type_counts_add(object, state->answer);
            Py_TYPE(object)->tp_traverse(object, join, state);
            state->current++;
        }
    }
    for (uint32_t number = 0; number < objects->members; number++) {
        state->size[leader_of(state->parent, number)]++;
    }
}

/* Gives a component its position when its first object is met. False: there is no room. */
static bool find_position(joining *state, uint32_t leader) {
    gcctl_answer *answer = state->answer;
    uint32_t size = state->size[leader];
    if (answer->candidates + size > answer->capacity) {
        state->size[leader] = 0; /* left to the next concurrent collection */
        return false;
    }
    state->position[leader] = answer->candidates + 1;
    answer->candidates += size;
    answer->components++;
    if (size > answer->largest_component) {
        answer->largest_component = size;
    }
    return true;
}

/* The region of the object has been fetched; 0: no object. */
static void write_object(joining *state, uintptr_t object) {
    gcctl_member member;
    if (object == 0 || !gcctl_object_set_find(&state->heap->objects, object, &member)) {
        return;
    }
    uint32_t leader = leader_of(state->parent, gcctl_object_set_number_of(&member));
    if (state->size[leader] > 0 && (state->position[leader] > 0 || find_position(state, leader))) {
        uint64_t last = state->size[leader] == 1 ? GCCTL_LAST_OF_COMPONENT : 0;
        state->answer->candidate[state->position[leader]++ - 1] = object | last;
        state->size[leader]--;
    }
}

/* Keeps the order of the collector's lists. CPython runs finalizers in that order, and programs may
   depend on it without knowing. */
static void write_all(joining *state) {
    gcctl_heap *heap = state->heap;
    for (uint32_t index = 0; index < heap->count && heap->objects.members > 0; index++) {
        write_object(state, gcctl_heap_fetch(heap, heap->order[index]));
    }
    for (int turn = 0; turn < GCCTL_PREFETCH_TURNS; turn++) {
        write_object(state, gcctl_prefetch_exchange(&heap->regions, 0));
    }
}

int gcctl_components_write(gcctl_heap *heap, gcctl_answer *answer) {
    static joining state; /* used by the child alone */
    int error = GCCTL_ANSWER_DONE;
    size_t count = heap->objects.members;
    state.heap = heap;
    state.answer = answer;
    state.parent = gcctl_heap_table(heap, count, sizeof *state.parent, &error);
    state.size = gcctl_heap_table(heap, count, sizeof *state.size, &error);
    state.position = gcctl_heap_table(heap, count, sizeof *state.position, &error);
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    join_all(&state);
    write_all(&state);
    gcctl_type_counts_write(answer);
    return GCCTL_ANSWER_DONE;
}
