/* What differs between operating systems about a process's memory. */
#ifndef GCCTL_MEMORY_H
#define GCCTL_MEMORY_H

#include <stdint.h>

/* Resident set size in bytes where one call of the system gives it (macOS, Windows); -1 elsewhere:
   on Linux it is a gauge. */
int64_t gcctl_memory_rss(void);

/* Gives freed memory back to the system: malloc_trim on glibc, the working set on Windows.
   GCCTL_ERR where there is nothing of the kind. Takes up to a tenth of a second, needs no GIL. */
int gcctl_memory_trim(void);

#endif
