#include <stdbool.h>

#include "graph.h"

/* Counts of references above this are as good as infinite: immortal objects have them. */
enum { MANY = 1 << 30 };

static int32_t references_to(PyObject *object) {
    Py_ssize_t count = Py_REFCNT(object);
    /* A type that frees its objects by a function of its own might do it behind the allocator that
       tells the parent what was freed. None is known; their objects are left alone. */
    bool counts = 0 <= count && count < MANY && Py_TYPE(object)->tp_free == PyObject_GC_Del;
    return counts ? (int32_t)count : MANY;
}

static void subtract_now(gcctl_graph *graph, uintptr_t object) {
    gcctl_member member;
    if (object == 0 || !gcctl_tracked_find(&graph->objects, object, &member)) {
        return;
    }
    uint32_t number = gcctl_member_number(&member);
    __builtin_prefetch(&graph->references[number], 1);
    uintptr_t oldest = gcctl_fetching_exchange(&graph->counts, (uintptr_t)number + 1);
    if (oldest != 0) {
        graph->references[oldest - 1]--;
    }
}

static int subtract(PyObject *object, void *context) {
    gcctl_graph *graph = context;
    subtract_now(graph, gcctl_graph_fetch(graph, object));
    return 0;
}

static void subtract_rest(gcctl_graph *graph) {
    for (int turn = 0; turn < GCCTL_FETCHING; turn++) {
        subtract_now(graph, gcctl_fetching_exchange(&graph->regions, 0));
    }
    for (int turn = 0; turn < GCCTL_FETCHING; turn++) {
        uintptr_t number = gcctl_fetching_exchange(&graph->counts, 0);
        if (number != 0) {
            graph->references[number - 1]--;
        }
    }
}

int gcctl_graph_count(gcctl_graph *graph) {
    gcctl_region *region;
    uint32_t number = 0;
    for (uintptr_t place = 0; (region = gcctl_tracked_region(&graph->objects, &place)) != NULL;
         place += (uintptr_t)1 << GCCTL_REGION_SHIFT) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            PyObject *object = (PyObject *)gcctl_region_place(place, bit);
            graph->references[number] += references_to(object);
            Py_TYPE(object)->tp_traverse(object, subtract, graph);
            if (gcctl_graph_is_orphan(graph, ++number)) {
                return GCCTL_ANSWER_PARENT_GONE;
            }
        }
    }
    subtract_rest(graph);
    return GCCTL_ANSWER_DONE;
}
