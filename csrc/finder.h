/* The child that finds out what is unreachable. */
#ifndef GCCTL_FINDER_H
#define GCCTL_FINDER_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "answer.h"
#include "lists.h"

typedef struct {
    const gcctl_links *lists; /* head of generation 0's */
    PyObject *unfreeze;       /* the builtin; called in the child alone. Borrowed. */
    int64_t table_bytes;      /* the most it may map for tables */
    int cpu_seconds;          /* the most it may compute */
} gcctl_finder_task;

/* Starts it. Returns its process ID, or -errno. It writes to `answer`, which is shared, and ends. */
int gcctl_finder_start(const gcctl_finder_task *task, gcctl_answer *answer);

/* A new empty answer with room for so many candidates; NULL where the system refuses. */
gcctl_answer *gcctl_answer_new(int64_t capacity);
void gcctl_answer_free(gcctl_answer *answer, int64_t capacity);

/* Do its numbers lie within its bounds? What goes wrong in the child may have written anywhere. */
bool gcctl_answer_is_sound(const gcctl_answer *answer, int64_t capacity);

#endif
