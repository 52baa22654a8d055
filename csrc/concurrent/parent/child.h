/* What the parent does with its child. */
#ifndef GCCTL_CHILD_H
#define GCCTL_CHILD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t cpu_ns; /* user and system time */
    int status;     /* as of waitpid() */
} gcctl_child_end;

/* Has it ended? Also true if it is no child of this process any more. */
bool gcctl_child_reap(int child, gcctl_child_end *end);

void gcctl_child_kill(int child);

#endif
