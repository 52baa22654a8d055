/* When is what due, counted in requests. */
#ifndef GCCTL_SCHEDULE_H
#define GCCTL_SCHEDULE_H

#include <stdint.h>

enum { GCCTL_GENERATIONS = 3, GCCTL_SLOT_REPORT = 3, GCCTL_SLOT_RECYCLE = 4, GCCTL_SLOTS = 5 };

/* One slot per generation, one for the status report, one for advice to recycle the worker. */
typedef struct {
    int64_t every[GCCTL_SLOTS]; /* requests from one to the next; 0 means never */
    int64_t at[GCCTL_SLOTS];    /* request at which it is due next; INT64_MAX means never */
    int64_t nearest;            /* the least of at[]: all that the hot path compares with */
} gcctl_schedule;

/* Starts over from request 0: the first of each is due at request every[slot]. */
void gcctl_schedule_set(gcctl_schedule *schedule, const int64_t every[GCCTL_SLOTS]);

/* Bits of the slots that are due at this request (bit g for generation g), each moved on to its
   next turn. To be asked about ascending requests, none at or after nearest left out. */
int gcctl_schedule_take(gcctl_schedule *schedule, int64_t request);

#endif
