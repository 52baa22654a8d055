#include "core/totals.h"

void gcctl_totals_add(gcctl_totals *totals, const gcctl_event *event) {
    totals->collections++;
    totals->collected += event->collected;
    totals->pause_total_ns += event->pause_ns;
    if (event->pause_ns > totals->pause_max_ns) {
        totals->pause_max_ns = event->pause_ns;
    }
    gcctl_histogram_add(&totals->pauses, event->pause_ns);
}

void gcctl_totals_merge(gcctl_totals *totals, const gcctl_totals *more) {
    totals->collections += more->collections;
    totals->collected += more->collected;
    totals->pause_total_ns += more->pause_total_ns;
    if (more->pause_max_ns > totals->pause_max_ns) {
        totals->pause_max_ns = more->pause_max_ns;
    }
    gcctl_histogram_merge(&totals->pauses, &more->pauses);
}
