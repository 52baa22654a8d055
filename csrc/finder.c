#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "finder.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "child.h"
#include "cycles.h"
#include "graph.h"

static size_t answer_bytes(int64_t capacity) {
    return sizeof(gcctl_answer) + (size_t)capacity * sizeof(uint64_t);
}

gcctl_answer *gcctl_answer_new(int64_t capacity) {
    gcctl_answer *answer = mmap(NULL, answer_bytes(capacity), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (answer == MAP_FAILED) {
        return NULL;
    }
    answer->capacity = capacity;
    return answer;
}

void gcctl_answer_free(gcctl_answer *answer, int64_t capacity) {
    if (answer != NULL) {
        munmap(answer, answer_bytes(capacity));
    }
}

bool gcctl_answer_is_sound(const gcctl_answer *answer, int64_t capacity) {
    return 0 <= answer->candidates && answer->candidates <= capacity && 0 <= answer->types &&
           answer->types <= GCCTL_TYPES && 0 <= answer->steps && answer->steps <= GCCTL_STEPS;
}

static _Noreturn void find(const gcctl_finder_task *task, gcctl_answer *answer, int parent) {
    static gcctl_graph graph; /* of the child alone */
    if (!gcctl_child_settle(task->cpu_seconds)) {
        gcctl_child_exit(1);
    }
    PyGC_Disable(); /* making an object must never collect here, and so run finalizers */
    if (PyObject_CallNoArgs(task->unfreeze) == NULL) { /* puts one list behind another */
        gcctl_child_exit(1);
    }
    graph.lists = task->lists;
    graph.bytes_limit = task->table_bytes;
    graph.parent = parent;
    int state = gcctl_graph_answer(&graph, answer);
    /* Now: when it has the answer, the parent sweeps, and what it writes to would count here. */
    answer->memory_bytes = gcctl_child_own_memory();
    atomic_store_explicit(&answer->state, state, memory_order_release);
    if (state == GCCTL_ANSWER_DONE) {
        gcctl_arena_use();
        gcctl_cycles_sample(&graph, answer);
        atomic_store_explicit(&answer->sampled, 1, memory_order_release);
    }
    gcctl_child_exit(0);
}

int gcctl_finder_start(const gcctl_finder_task *task, gcctl_answer *answer) {
    int parent = (int)getpid();
    int child = gcctl_child_create();
    if (child == 0) {
        find(task, answer, parent);
    }
    return child;
}
