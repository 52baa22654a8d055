/* Records every collection: totals and a histogram per generation, and a ring of the last events.

   The memory is fixed (26 KB). A month of running allocates no more than a minute. */
#ifndef GCCTL_RECORDER_H
#define GCCTL_RECORDER_H

#include <stdint.h>

#include "core/event.h"
#include "core/generations.h"
#include "core/totals.h"

enum { GCCTL_RING_SIZE = 256 }; /* a power of two */

/* Collections of one generation. The start and the slices of a concurrent collection are no
   collections of a generation: only the objects that they collected are counted here. */
typedef struct {
    int64_t collections;
    int64_t collected;
    int64_t pause_total_ns;
} gcctl_tally;

typedef struct {
    gcctl_tally tally[GCCTL_GENERATIONS];
    gcctl_totals generation[GCCTL_GENERATIONS]; /* of all events */
    int64_t by_reason[GCCTL_REASONS];
    int64_t written; /* events ever recorded; the last GCCTL_RING_SIZE of them are in ring[] */
    gcctl_event ring[GCCTL_RING_SIZE];
} gcctl_recorder;

void gcctl_recorder_clear(gcctl_recorder *recorder);

/* Copies the event. Its generation and reason must be in range. */
void gcctl_recorder_add(gcctl_recorder *recorder, const gcctl_event *event);

#endif
