/* The collections of the last minute, in slots of five seconds. A new slot replaces the oldest. */
#ifndef GCCTL_LAST_MINUTE_H
#define GCCTL_LAST_MINUTE_H

#include <stdint.h>

#include "core/event.h"
#include "core/generations.h"
#include "core/totals.h"

enum { GCCTL_LAST_MINUTE_SLOTS = 12, GCCTL_LAST_MINUTE_SLOT_SECONDS = 5 };

typedef struct {
    int64_t number; /* the time of the slot, in units of five seconds */
    int64_t collections[GCCTL_GENERATIONS];
    gcctl_totals all;
} gcctl_last_minute_slot;

typedef struct {
    /* Slot n is at n % GCCTL_LAST_MINUTE_SLOTS, unless a slot of another time is still there. */
    gcctl_last_minute_slot slot[GCCTL_LAST_MINUTE_SLOTS];
} gcctl_last_minute;

void gcctl_last_minute_clear(gcctl_last_minute *minute);

/* Adds an event to the slot of its time. The event's generation must be in range. */
void gcctl_last_minute_add(gcctl_last_minute *minute, const gcctl_event *event);

/* Writes to `sum` the collections of the 55 to 60 seconds before `now_ns`. Its number becomes 0. */
void gcctl_last_minute_sum(const gcctl_last_minute *minute, int64_t now_ns,
                           gcctl_last_minute_slot *sum);

#endif
