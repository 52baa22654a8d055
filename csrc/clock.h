/* The monotonic clock. Nanoseconds everywhere: converted at the display edge only. */
#ifndef GCCTL_CLOCK_H
#define GCCTL_CLOCK_H

#include <stdint.h>

/* Nanoseconds of the clock that time.perf_counter_ns() reads, so that the two compare.
   Never fails: a platform without such a clock does not build. */
int64_t gcctl_clock_now(void);

/* The same up to some milliseconds late, and several times cheaper where the system has that. */
int64_t gcctl_clock_coarse(void);

#endif
