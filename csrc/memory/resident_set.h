/* The resident set of this process, where one call of the system tells it (macOS, Windows). */
#ifndef GCCTL_RESIDENT_SET_H
#define GCCTL_RESIDENT_SET_H

#include <stdint.h>

/* Returns bytes; -1 on other systems. On Linux the kernel has it in a file: see memory/usage.h. */
int64_t gcctl_resident_set_bytes(void);

#endif
