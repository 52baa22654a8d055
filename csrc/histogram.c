#include "histogram.h"

/* Position of the highest bit that is set; value is above 0. */
static int highest_bit(uint64_t value) {
#if defined(__GNUC__) || defined(__clang__)
    return 63 - __builtin_clzll(value);
#else
    int bit = 0;
    while (value >>= 1) {
        bit++;
    }
    return bit;
#endif
}

static int bucket_of(int64_t ns) {
    if (ns < 1 << GCCTL_HISTOGRAM_SUBBITS) {
        return ns < 0 ? 0 : (int)ns;
    }
    int top = highest_bit((uint64_t)ns);
    if (top >= GCCTL_HISTOGRAM_MAXBITS) {
        return GCCTL_HISTOGRAM_BUCKETS - 1;
    }
    /* The bits below the highest one, cut to SUBBITS, tell the bucket within its power of two;
       adding the highest bit itself (16) and one row of 16 per further power of two numbers the
       buckets without a gap. */
    int shift = top - GCCTL_HISTOGRAM_SUBBITS;
    return (shift << GCCTL_HISTOGRAM_SUBBITS) + (int)(ns >> shift);
}

void gcctl_histogram_add(gcctl_histogram *histogram, int64_t ns) {
    histogram->count[bucket_of(ns)]++;
}

void gcctl_histogram_merge(gcctl_histogram *histogram, const gcctl_histogram *more) {
    for (int bucket = 0; bucket < GCCTL_HISTOGRAM_BUCKETS; bucket++) {
        histogram->count[bucket] += more->count[bucket];
    }
}
