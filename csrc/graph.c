#include "graph.h"

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

static int take_list(gcctl_graph *graph, const gcctl_links *head, uint32_t limit) {
    const gcctl_links *before = head;
    for (const gcctl_links *links = gcctl_links_next(head); links != head;
         before = links, links = gcctl_links_next(links)) {
        if (gcctl_links_previous(links) != before) {
            return GCCTL_ANSWER_NOT_FOUND;
        }
        if (graph->count == limit) {
            return GCCTL_ANSWER_TOO_LARGE;
        }
        graph->order[graph->count++] = gcctl_links_object(links);
        if (gcctl_graph_is_orphan(graph, graph->count)) {
            return GCCTL_ANSWER_PARENT_GONE;
        }
        if (gcctl_tracked_add(&graph->objects, (uintptr_t)gcctl_links_object(links)) != 0) {
            return graph->objects.map.incomplete ? GCCTL_ANSWER_NO_MEMORY : GCCTL_ANSWER_UNEXPECTED;
        }
    }
    return gcctl_links_previous(head) == before ? GCCTL_ANSWER_DONE : GCCTL_ANSWER_NOT_FOUND;
}

static int unreachable(gcctl_graph *graph, int64_t capacity) {
    int error = GCCTL_ANSWER_DONE;
    if (gcctl_tracked_open(&graph->objects) != 0) {
        return GCCTL_ANSWER_NO_MEMORY;
    }
    /* Pages of it that nothing is written to do not come into being. */
    uint32_t limit = capacity < GCCTL_MEMBERS ? (uint32_t)capacity : GCCTL_MEMBERS;
    graph->order = gcctl_pages(limit * sizeof(PyObject *));
    if (graph->order == NULL) {
        return GCCTL_ANSWER_NO_MEMORY;
    }
    for (int generation = GCCTL_LISTS - 1; generation >= 0 && error == GCCTL_ANSWER_DONE;
         generation--) {
        error = take_list(graph, gcctl_lists_head(graph->lists, generation), limit);
    }
    if (error != GCCTL_ANSWER_DONE) {
        return error;
    }
    graph->bytes = graph->objects.chunks * (int64_t)sizeof(gcctl_region)
                   << (GCCTL_CHUNK_SHIFT - GCCTL_REGION_SHIFT);
    graph->bytes += (int64_t)(graph->count * sizeof(PyObject *));
    gcctl_tracked_number(&graph->objects);
    size_t count = graph->objects.members;
    graph->references = gcctl_graph_table(graph, count, sizeof *graph->references, &error);
    /* As a rule next to nothing of it is touched. */
    graph->stack = gcctl_pages((count + 1) * sizeof(PyObject *));
    if (graph->references == NULL || graph->stack == NULL) {
        return error != GCCTL_ANSWER_DONE ? error : GCCTL_ANSWER_NO_MEMORY;
    }
    error = gcctl_graph_count(graph);
    if (error == GCCTL_ANSWER_DONE) {
        error = gcctl_graph_mark(graph);
    }
    graph->bytes += (int64_t)(graph->deepest * sizeof(PyObject *));
    return error;
}

int gcctl_graph_answer(gcctl_graph *graph, gcctl_answer *answer) {
    int error = unreachable(graph, answer->capacity);
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
