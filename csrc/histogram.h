/* A histogram of pauses in fixed memory: counts per bucket, no values kept.

   Log-linear buckets, as in HdrHistogram: values below 16 have a bucket each, every power of two
   above is cut into 16 equal buckets. A bucket is therefore at most 1/16 of its lower bound wide. */
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

/* Counts a value in nanoseconds; a negative one (a clock set back) counts as 0. */
void gcctl_histogram_add(gcctl_histogram *histogram, int64_t ns);

void gcctl_histogram_merge(gcctl_histogram *histogram, const gcctl_histogram *more);

#endif
