/* A histogram of pauses in fixed memory: it counts per bucket and keeps no values.

   The buckets are log-linear, as in HdrHistogram. Each value below 16 has a bucket of its own.
   Above, each power of two is cut into 16 equal buckets, so that the width of a bucket is at most
   1/16 of its lower bound. */
#ifndef GCCTL_HISTOGRAM_H
#define GCCTL_HISTOGRAM_H

#include <stdint.h>

enum {
    GCCTL_HISTOGRAM_SUBBITS = 4,  /* 2^4 buckets per power of two */
    GCCTL_HISTOGRAM_MAXBITS = 37, /* values of 2^37 ns (137 s) and more share the last bucket */
    GCCTL_HISTOGRAM_BUCKETS = (GCCTL_HISTOGRAM_MAXBITS - GCCTL_HISTOGRAM_SUBBITS + 1)
        << GCCTL_HISTOGRAM_SUBBITS
};

typedef struct {
    int64_t count[GCCTL_HISTOGRAM_BUCKETS];
} gcctl_histogram;

/* Counts a value in nanoseconds. A negative value (the clock was set back) counts as 0. */
void gcctl_histogram_add(gcctl_histogram *histogram, int64_t ns);

void gcctl_histogram_merge(gcctl_histogram *histogram, const gcctl_histogram *more);

#endif
