/* When a collection, a report or an advice is due, counted in requests. */
#ifndef GCCTL_SCHEDULE_H
#define GCCTL_SCHEDULE_H

#include <stdint.h>

#include "core/generations.h"

/* Slots 0 to 2 are the generations. */
enum {
    GCCTL_SLOT_REPORT = GCCTL_GENERATIONS, /* the status report */
    GCCTL_SLOT_RECYCLE,                    /* the advice to recycle the worker */
    GCCTL_SLOTS
};

typedef struct {
    int64_t every[GCCTL_SLOTS]; /* requests between two turns; 0: never due */
    int64_t at[GCCTL_SLOTS];    /* the request of the next turn; INT64_MAX: never due */
    int64_t nearest;            /* the least of at[]: the hot path compares with this alone */
} gcctl_schedule;

/* Starts from request 0. The first turn of each slot is at request every[slot]. */
void gcctl_schedule_set(gcctl_schedule *schedule, const int64_t every[GCCTL_SLOTS]);

/* Returns a bit for each slot that is due at this request, and moves these slots to their next
   turn. Call it with ascending numbers of requests, and for each request from `nearest` on. */
int gcctl_schedule_take(gcctl_schedule *schedule, int64_t request);

#endif
