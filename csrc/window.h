/* The collections of the last minute: slots of five seconds that are used again and again. */
#ifndef GCCTL_WINDOW_H
#define GCCTL_WINDOW_H

#include <stdint.h>

#include "recorder.h"

enum { GCCTL_WINDOW_SLOTS = 12, GCCTL_WINDOW_SLOT_SECONDS = 5 };

typedef struct {
    int64_t number; /* time in units of the slot's length; a slot of another number is empty */
    int64_t collections[GCCTL_GENERATIONS];
    gcctl_totals all;
} gcctl_slot;

typedef struct {
    gcctl_slot slot[GCCTL_WINDOW_SLOTS]; /* slot n is at n % GCCTL_WINDOW_SLOTS */
} gcctl_window;

void gcctl_window_clear(gcctl_window *window);

/* Adds an event to the slot of its time; the generation must be in range. */
void gcctl_window_add(gcctl_window *window, const gcctl_event *event);

/* Sums the 55 to 60 seconds before a time in nanoseconds into sum, whose number is left at 0. */
void gcctl_window_sum(const gcctl_window *window, int64_t now_ns, gcctl_slot *sum);

#endif
