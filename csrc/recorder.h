/* Every collection that was seen: totals and a histogram per generation, the last events in a ring.
   All of it in fixed memory (26 KB): a month of running allocates no more than a minute. */
#ifndef GCCTL_RECORDER_H
#define GCCTL_RECORDER_H

#include <stdint.h>

#include "histogram.h"
#include "schedule.h"

/* Why a collection ran; the names are in gcctl/_protocol.py, in this order. */
enum {
    GCCTL_REASON_SCHEDULED,  /* due at a boundary */
    GCCTL_REASON_EMERGENCY,  /* after a failing request */
    GCCTL_REASON_PRESSURE,   /* memory over its limit */
    GCCTL_REASON_CONCURRENT, /* the start of a concurrent full collection, or a slice of its end */
    GCCTL_REASON_REQUESTED,  /* an explicit call of gcctl, such as the final collection */
    GCCTL_REASON_EXTERNAL,   /* automatic, or somebody else's gc.collect() */
    GCCTL_REASONS
};

enum { GCCTL_RING_SIZE = 256 }; /* a power of two */

typedef struct {
    int64_t time_ns;   /* start, on the monotonic clock */
    int64_t pause_ns;  /* start to end */
    int64_t collected; /* unreachable objects found */
    int64_t in_flight; /* requests running at the start */
    int generation;    /* 0, 1 or 2 */
    int reason;        /* one of GCCTL_REASON_… */
} gcctl_event;

typedef struct {
    int64_t collections;
    int64_t collected;
    int64_t pause_total_ns;
    int64_t pause_max_ns;
    gcctl_histogram pauses;
} gcctl_totals;

void gcctl_totals_add(gcctl_totals *totals, const gcctl_event *event);
void gcctl_totals_merge(gcctl_totals *totals, const gcctl_totals *more);

/* The same without the starts and slices of concurrent collections, which go through no generation;
   what they collected is in it. */
typedef struct {
    int64_t collections;
    int64_t collected;
    int64_t pause_total_ns;
} gcctl_tally;

typedef struct {
    gcctl_tally tally[GCCTL_GENERATIONS];
    gcctl_totals generation[GCCTL_GENERATIONS];
    int64_t by_reason[GCCTL_REASONS];
    int64_t written; /* events ever recorded; the last GCCTL_RING_SIZE of them are in ring[] */
    gcctl_event ring[GCCTL_RING_SIZE];
} gcctl_recorder;

void gcctl_recorder_clear(gcctl_recorder *recorder);

/* The event's generation and reason must be in range. The event is copied. */
void gcctl_recorder_add(gcctl_recorder *recorder, const gcctl_event *event);

#endif
