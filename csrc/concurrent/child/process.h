/* The child process: how it is made, and what it does for itself.

   It comes from the raw clone system call and is a copy-on-write copy of this process at one
   moment. The rest of the program does not notice it. No handlers of a fork run, no SIGCHLD comes,
   and no other waitpid() finds it, since it has no exit signal (only a wait with __WALL does).
   Linux only. */
#ifndef GCCTL_PROCESS_H
#define GCCTL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Makes it. Returns 0 in the child; in the parent the child's process ID, or -errno. All signals
   are blocked in the child. Takes 20 to 40 ms per GB of resident memory, for the page tables. */
int gcctl_process_clone(void);

/* The first call in the child. It closes the child's descriptors, switches core dumps off, offers
   itself to be killed first when memory is short, runs only on idle processors, and limits its CPU
   time. Returns false if it cannot stop sharing the parent's descriptors: then it must neither open
   nor close any. */
bool gcctl_process_settle(int cpu_seconds);

/* In the child: does the parent still run? PR_SET_PDEATHSIG would not do, because it follows the
   thread that made the child, and this thread may end before the process. */
bool gcctl_process_has_parent(int parent);

/* In the child: bytes that it does not share with the parent, from /proc/self/smaps_rollup; -1 if
   the kernel does not tell. Takes some 10 ms per GB of resident memory. */
int64_t gcctl_process_own_memory(void);

/* In the child: ends it, without anything that exit() would do. */
_Noreturn void gcctl_process_exit(int status);

#endif
