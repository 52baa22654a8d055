#include "graph.h"

#include <stdbool.h>

#include "child.h"

/* Counts of references above this are as good as infinite: immortal objects have them. */
enum { MANY = 1 << 30 };

/* So many objects are gone through between two looks at whether the parent is there. */
enum { LOOK_EVERY = 1 << 14 };

void *gcctl_graph_table(gcctl_graph *graph, size_t count, size_t entry_bytes, int *error) {
    graph->bytes += (int64_t)(count * entry_bytes);
    if (graph->bytes > graph->bytes_limit) {
        *error = GCCTL_ANSWER_TOO_LARGE;
        return NULL;
    }
    void *table = gcctl_pages((count + 1) * entry_bytes);
    if (table == NULL) {
        *error = GCCTL_ANSWER_NO_MEMORY;
    }
    return table;
}

static int take_list(gcctl_graph *graph, const gcctl_links *head) {
    for (const gcctl_links *links = gcctl_links_next(head); links != head;
         links = gcctl_links_next(links)) {
        if (gcctl_tracked_add(&graph->objects, (uintptr_t)gcctl_links_object(links)) != 0) {
            return graph->objects.map.incomplete ? GCCTL_ANSWER_NO_MEMORY : GCCTL_ANSWER_UNEXPECTED;
        }
    }
    return GCCTL_ANSWER_DONE;
}

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

/* Starts to fetch the region of an object that is referred to. Returns the object whose region is
   there by now, or 0. */
static uintptr_t fetch_region(gcctl_graph *graph, PyObject *object) {
    gcctl_region *region = gcctl_tracked_region_of(&graph->objects, (uintptr_t)object);
    if (region == NULL) {
        return 0;
    }
    __builtin_prefetch(region, 1);
    return gcctl_fetching_exchange(&graph->regions, (uintptr_t)object);
}

static int subtract(PyObject *object, void *context) {
    gcctl_graph *graph = context;
    subtract_now(graph, fetch_region(graph, object));
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
    reach_now(graph, fetch_region(graph, object));
    return 0;
}

static void traverse(PyObject *object, visitproc visit, gcctl_graph *graph) {
    Py_TYPE(object)->tp_traverse(object, visit, graph);
}

static bool is_time_to_look(const gcctl_graph *graph, uint32_t number) {
    return number % LOOK_EVERY == 0 && !gcctl_child_has_parent(graph->parent);
}

/* Leaves in references[] what comes from outside: variables, C code, untracked objects. */
static int count_references(gcctl_graph *graph) {
    gcctl_region *region;
    uint32_t number = 0;
    for (uintptr_t place = 0; (region = gcctl_tracked_region(&graph->objects, &place)) != NULL;
         place += (uintptr_t)1 << GCCTL_REGION_SHIFT) {
        for (uint64_t rest = region->member; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            PyObject *object = (PyObject *)gcctl_region_place(place, bit);
            graph->references[number] += references_to(object);
            traverse(object, subtract, graph);
            if (is_time_to_look(graph, ++number)) {
                return GCCTL_ANSWER_PARENT_GONE;
            }
        }
    }
    subtract_rest(graph);
    return GCCTL_ANSWER_DONE;
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
            traverse((PyObject *)object, reach, graph);
            if (is_time_to_look(graph, ++graph->gone_through)) {
                return GCCTL_ANSWER_PARENT_GONE;
            }
        }
    }
    return GCCTL_ANSWER_DONE;
}

static int mark(gcctl_graph *graph) {
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

static int unreachable(gcctl_graph *graph, const gcctl_links *lists) {
    int error = GCCTL_ANSWER_DONE;
    if (gcctl_tracked_open(&graph->objects) != 0) {
        return GCCTL_ANSWER_NO_MEMORY;
    }
    for (int generation = 0; generation < GCCTL_LISTS && error == GCCTL_ANSWER_DONE; generation++) {
        error = take_list(graph, gcctl_lists_head(lists, generation));
    }
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    graph->bytes = graph->objects.chunks * (int64_t)sizeof(gcctl_region)
                   << (GCCTL_CHUNK_SHIFT - GCCTL_REGION_SHIFT);
    gcctl_tracked_number(&graph->objects);
    size_t count = graph->objects.members;
    graph->references = gcctl_graph_table(graph, count, sizeof *graph->references, &error);
    /* As a rule next to nothing of it is touched. */
    graph->stack = gcctl_pages((count + 1) * sizeof(PyObject *));
    if (graph->references == NULL || graph->stack == NULL) {
        return error != GCCTL_ANSWER_DONE ? error : GCCTL_ANSWER_NO_MEMORY;
    }
    error = count_references(graph);
    if (error == GCCTL_ANSWER_DONE) {
        error = mark(graph);
    }
    graph->bytes += (int64_t)(graph->deepest * sizeof(PyObject *));
    return error;
}

int gcctl_graph_answer(gcctl_graph *graph, const gcctl_links *lists, gcctl_answer *answer) {
    int error = unreachable(graph, lists);
    answer->tracked = graph->objects.members;
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    gcctl_tracked_keep_unmarked(&graph->objects);
    answer->unreachable = graph->objects.members;
    error = gcctl_components_answer(graph, answer);
    answer->table_bytes = graph->bytes;
    return error;
}
