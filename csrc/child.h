/* A child process by the raw clone system call: a copy-on-write picture of this process at one
   moment, of which nobody else takes notice. No handlers of a fork run, no SIGCHLD comes, and
   nobody's waitpid() sees it, for it has no exit signal (wait with __WALL). Linux only. */
#ifndef GCCTL_CHILD_H
#define GCCTL_CHILD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t cpu_ns; /* user and system time */
    int status;     /* as of waitpid() */
} gcctl_child_usage;

/* In the parent the child's process ID, or -errno; 0 in the child. All signals are blocked in the
   child. Takes 20 to 40 ms per GB that is resident, for the page tables. */
int gcctl_child_create(void);

/* In the child, first: no descriptors, no core dump, the first to go when memory is short, run only
   when nobody else wants to, and killed after so much CPU time. False where the descriptors, which
   are the parent's until then, cannot be left: then nothing may be opened or closed. */
bool gcctl_child_settle(int cpu_seconds);

/* In the child: is the process that made it still there? (Its thread may have ended, which is why
   this is not PR_SET_PDEATHSIG: that would follow the thread.) */
bool gcctl_child_has_parent(int parent);

/* In the child: bytes that are its own and not shared with the parent, from /proc/self/smaps_rollup;
   -1 where the kernel does not tell. Takes some 10 ms per GB resident. */
int64_t gcctl_child_own_memory(void);

/* In the child: the end, without anything that exit() does. */
_Noreturn void gcctl_child_exit(int status);

/* In the parent: has it ended? True also where it is no child of ours any more. */
bool gcctl_child_reap(int child, gcctl_child_usage *usage);

void gcctl_child_kill(int child);

#endif
