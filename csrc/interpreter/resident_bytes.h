/* The resident set of this process, for threads that have no Python. */
#ifndef GCCTL_RESIDENT_BYTES_H
#define GCCTL_RESIDENT_BYTES_H

#include <stdint.h>

/* INT64_MAX where the system does not tell. */
int64_t gcctl_resident_bytes_now(void);

#endif
