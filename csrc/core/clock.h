/* The monotonic clock. All times are nanoseconds; only what a user sees is converted. */
#ifndef GCCTL_CLOCK_H
#define GCCTL_CLOCK_H

#include <stdint.h>

/* Reads the same clock as time.perf_counter_ns(), so that the two can be compared.
   Never fails: a platform without such a clock does not build. */
int64_t gcctl_clock_now(void);

/* Reads the clock several times cheaper where the system can. The value may be some milliseconds
   old. */
int64_t gcctl_clock_coarse(void);

#endif
