#include "concurrent/child/finder.h"

#include <unistd.h>

#include "collector/gc_calls.h"
#include "concurrent/child/arena.h"
#include "concurrent/child/cycles.h"
#include "concurrent/child/process.h"
#include "concurrent/child/unreachable.h"

static _Noreturn void find(const gcctl_finder_task *task, gcctl_answer *answer, int parent) {
    static gcctl_heap heap; /* used by the child alone */
    if (!gcctl_process_settle(task->cpu_seconds)) {
        gcctl_process_exit(1);
    }
    PyGC_Disable(); /* a new object must not start a collection, which would run finalizers */
    if (gcctl_gc_calls_unfreeze() == NULL) { /* links frozen objects to generation 2 */
        gcctl_process_exit(1);
    }
    heap.lists = task->lists;
    heap.bytes_limit = task->table_bytes;
    heap.parent = parent;
    int state = gcctl_unreachable_find(&heap, answer);
    /* Before the answer is out: the parent then sweeps, and pages that it writes to would count. */
    answer->memory_bytes = gcctl_process_own_memory();
    atomic_store_explicit(&answer->state, state, memory_order_release);
    if (state == GCCTL_ANSWER_DONE) {
        gcctl_arena_use();
        gcctl_cycles_sample(&heap.objects, answer);
        atomic_store_explicit(&answer->sampled, 1, memory_order_release);
    }
    gcctl_process_exit(0);
}

int gcctl_finder_start(const gcctl_finder_task *task, gcctl_answer *answer) {
    int parent = (int)getpid();
    int child = gcctl_process_clone();
    if (child == 0) {
        find(task, answer, parent);
    }
    return child;
}
