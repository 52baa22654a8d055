#include "core/histogram.h"

/* Position of the highest bit that is set. The value must be above 0. */
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
    /* ns >> shift is 16 to 31: the bucket within its power of two, plus 16. Each further power of
       two adds a row of 16. So the buckets are numbered without a gap. */
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
