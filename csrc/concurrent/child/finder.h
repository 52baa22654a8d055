/* Starts the child that finds the unreachable objects. */
#ifndef GCCTL_FINDER_H
#define GCCTL_FINDER_H

#include <Python.h>
#include <stdint.h>

#include "collector/gc_lists.h"
#include "concurrent/shared/answer.h"

typedef struct {
    const gcctl_gc_links *lists; /* the head of generation 0's */
    int64_t table_bytes;         /* limit of the child's tables */
    int cpu_seconds;             /* limit of its CPU time */
} gcctl_finder_task;

/* Returns the child's process ID, or -errno. The child writes to `answer`, which is shared, and
   ends. */
int gcctl_finder_start(const gcctl_finder_task *task, gcctl_answer *answer);

#endif
