#include "graph.h"

static void reach_now(gcctl_graph *graph, uintptr_t object) {
    gcctl_member member;
    if (object != 0 && gcctl_tracked_find(&graph->objects, object, &member) &&
        !(member.region->marked & member.bit)) {
        member.region->marked |= member.bit;
        graph->stack[graph->depth++] = (PyObject *)object;
        if (graph->depth > graph->deepest) {
            graph->deepest = graph->depth;
        }
    }
}

static int reach(PyObject *object, void *context) {
    gcctl_graph *graph = context;
    reach_now(graph, gcctl_graph_fetch(graph, object));
    return 0;
}

/* Goes through what is on the stack, and what is reached from there. */
static int empty_stack(gcctl_graph *graph) {
    /* Turns without anything new: after so many all that was being fetched has come out. */
    for (int idle = 0; idle < 2 * GCCTL_FETCHING; idle++) {
        if (graph->depth == 0) {
            reach_now(graph, gcctl_fetching_exchange(&graph->regions, 0));
        }
        uintptr_t next = graph->depth > 0 ? (uintptr_t)graph->stack[--graph->depth] : 0;
        __builtin_prefetch((const void *)next);
        uintptr_t object = gcctl_fetching_exchange(&graph->reached, next);
        if (next != 0 || object != 0) {
            idle = 0;
        }
        if (object != 0) {
            Py_TYPE((PyObject *)object)->tp_traverse((PyObject *)object, reach, graph);
            if (gcctl_graph_is_orphan(graph, ++graph->gone_through)) {
                return GCCTL_ANSWER_PARENT_GONE;
            }
        }
    }
    return GCCTL_ANSWER_DONE;
}

int gcctl_graph_mark(gcctl_graph *graph) {
    gcctl_region *region;
    uint32_t number = 0;
    for (uintptr_t place = 0; (region = gcctl_tracked_region(&graph->objects, &place)) != NULL;
         place += (uintptr_t)1 << GCCTL_REGION_SHIFT) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            if (graph->references[number++] > 0) {
                reach_now(graph, gcctl_region_place(place, bit));
            }
        }
        int error = graph->depth > 0 ? empty_stack(graph) : GCCTL_ANSWER_DONE;
        if (error != GCCTL_ANSWER_DONE) {
            return error;
        }
    }
    return GCCTL_ANSWER_DONE;
}
