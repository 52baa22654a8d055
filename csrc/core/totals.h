/* Sums over collections, and the histogram of their pauses. */
#ifndef GCCTL_TOTALS_H
#define GCCTL_TOTALS_H

#include <stdint.h>

#include "core/event.h"
#include "core/histogram.h"

typedef struct {
    int64_t collections;
    int64_t collected;
    int64_t pause_total_ns;
    int64_t pause_max_ns;
    gcctl_histogram pauses;
} gcctl_totals;

void gcctl_totals_add(gcctl_totals *totals, const gcctl_event *event);
void gcctl_totals_merge(gcctl_totals *totals, const gcctl_totals *more);

#endif
