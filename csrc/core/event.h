/* One collection: when it was, how long it took, why it ran. */
#ifndef GCCTL_EVENT_H
#define GCCTL_EVENT_H

#include <stdint.h>

/* Why a collection ran. gcctl/_core/records.py has the names, in the same order. */
enum {
    GCCTL_REASON_SCHEDULED,  /* due at a boundary */
    GCCTL_REASON_EMERGENCY,  /* after a failing request */
    GCCTL_REASON_PRESSURE,   /* memory over its limit */
    GCCTL_REASON_CONCURRENT, /* the start or a slice of a concurrent full collection */
    GCCTL_REASON_REQUESTED,  /* a caller asked gcctl for it; also the final collection */
    GCCTL_REASON_AUTOMATIC,  /* by the interpreter, when objects are allocated */
    GCCTL_REASON_EXPLICIT,   /* a gc.collect() of the program */
    GCCTL_REASONS
};

typedef struct {
    int64_t time_ns;   /* start, on the monotonic clock */
    int64_t pause_ns;  /* start to end */
    int64_t collected; /* unreachable objects found */
    int64_t in_flight; /* requests running at the start */
    int generation;    /* 0, 1 or 2 */
    int reason;        /* one of GCCTL_REASON_… */
} gcctl_event;

#endif
