#include <stdbool.h>
#include <string.h>

#include "graph.h"

/* What is in one component: CPython frees an unreachable object only where it has all those that
   refer to it in sight. So what is connected must come together. */
static uint32_t leader(uint32_t *component, uint32_t number) {
    while (component[number] != number) {
        component[number] = component[component[number]];
        number = component[number];
    }
    return number;
}

static int join(PyObject *object, void *context) {
    gcctl_graph *graph = context;
    gcctl_member member;
    if (gcctl_tracked_find(&graph->objects, (uintptr_t)object, &member)) {
        uint32_t one = leader(graph->component, graph->current);
        uint32_t other = leader(graph->component, gcctl_member_number(&member));
        graph->component[one > other ? one : other] = one > other ? other : one;
    }
    return 0;
}

enum { TYPES_SEEN = 1024 }; /* a power of two */

typedef struct {
    PyTypeObject *type;
    int64_t objects;
    uint64_t example;
} type_seen;

static type_seen seen[TYPES_SEEN];

static void count_type(PyObject *object, gcctl_answer *answer) {
    PyTypeObject *type = Py_TYPE(object);
    size_t place = ((uintptr_t)type >> GCCTL_ALIGNMENT_SHIFT) * 0x9E3779B97F4A7C15U >> 32;
    for (size_t tries = 0; tries < TYPES_SEEN / 8; tries++, place++) {
        type_seen *entry = &seen[place % TYPES_SEEN];
        if (entry->type == NULL) {
            entry->type = type;
            entry->example = (uintptr_t)object;
        }
        if (entry->type == type) {
            entry->objects++;
            return;
        }
    }
    answer->untyped++;
}

/* The most frequent ones, by simple selection. */
static void write_types(gcctl_answer *answer) {
    for (;;) {
        type_seen *most = &seen[0];
        for (size_t index = 1; index < TYPES_SEEN; index++) {
            if (seen[index].objects > most->objects) {
                most = &seen[index];
            }
        }
        if (most->objects == 0) {
            return;
        }
        if (answer->types < GCCTL_TYPES) {
            gcctl_type_count *count = &answer->type[answer->types++];
            count->objects = most->objects;
            count->type = (uintptr_t)most->type;
            count->example = most->example;
            strncpy(count->name, most->type->tp_name, sizeof count->name - 1);
        } else {
            answer->untyped += most->objects;
        }
        most->objects = 0;
    }
}

/* Calls `act` for every object of the set, with its number in graph->current. */
static void for_each(gcctl_graph *graph, gcctl_answer *answer,
                     void (*act)(gcctl_graph *, gcctl_answer *, PyObject *)) {
    gcctl_region *region;
    graph->current = 0;
    for (uintptr_t place = 0; (region = gcctl_tracked_region(&graph->objects, &place)) != NULL;
         place += (uintptr_t)1 << GCCTL_REGION_SHIFT) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            act(graph, answer, (PyObject *)gcctl_region_place(place, bit));
            graph->current++;
        }
    }
}

static void join_referents(gcctl_graph *graph, gcctl_answer *answer, PyObject *object) {
    count_type(object, answer);
    Py_TYPE(object)->tp_traverse(object, join, graph);
}

typedef struct {
    uint32_t *size; /* of the component that each object leads: objects not written yet */
    int64_t *place; /* where its next object goes in the answer, plus 1; 0: it has no place yet */
} writing;

static writing placed; /* of the child alone */

static void count_members(gcctl_graph *graph, gcctl_answer *answer, PyObject *object) {
    (void)answer;
    (void)object;
    placed.size[leader(graph->component, graph->current)]++;
}

/* Gives a component its place when the first of its objects is met; false where it has none. */
static bool find_place(gcctl_answer *answer, uint32_t lead) {
    uint32_t size = placed.size[lead];
    if (answer->candidates + size > answer->capacity) {
        placed.size[lead] = 0; /* the next collection's */
        return false;
    }
    placed.place[lead] = answer->candidates + 1;
    answer->candidates += size;
    answer->components++;
    if (size > answer->largest_component) {
        answer->largest_component = size;
    }
    return true;
}

static void write_candidate(gcctl_graph *graph, gcctl_answer *answer, uintptr_t object) {
    gcctl_member member;
    if (object == 0 || !gcctl_tracked_find(&graph->objects, object, &member)) {
        return;
    }
    uint32_t lead = leader(graph->component, gcctl_member_number(&member));
    if (placed.size[lead] > 0 && (placed.place[lead] > 0 || find_place(answer, lead))) {
        uint64_t last = placed.size[lead] == 1 ? GCCTL_LAST_OF_COMPONENT : 0;
        answer->candidate[placed.place[lead]++ - 1] = object | last;
        placed.size[lead]--;
    }
}

/* In the order in which the collector has them, for in that order it runs finalizers: programs may
   not know that they depend on it. */
static void write_candidates(gcctl_graph *graph, gcctl_answer *answer) {
    for (uint32_t index = 0; index < graph->count && graph->objects.members > 0; index++) {
        write_candidate(graph, answer, gcctl_graph_fetch(graph, graph->order[index]));
    }
    for (int turn = 0; turn < GCCTL_FETCHING; turn++) {
        write_candidate(graph, answer, gcctl_fetching_exchange(&graph->regions, 0));
    }
}

int gcctl_components_answer(gcctl_graph *graph, gcctl_answer *answer) {
    int error = GCCTL_ANSWER_DONE;
    size_t count = graph->objects.members;
    graph->component = gcctl_graph_table(graph, count, sizeof *graph->component, &error);
    placed.size = gcctl_graph_table(graph, count, sizeof *placed.size, &error);
    placed.place = gcctl_graph_table(graph, count, sizeof *placed.place, &error);
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    for (uint32_t number = 0; number < count; number++) {
        graph->component[number] = number;
    }
    for_each(graph, answer, join_referents);
    for_each(graph, answer, count_members);
    write_candidates(graph, answer);
    write_types(answer);
    return GCCTL_ANSWER_DONE;
}
