#include "recorder.h"

#include <string.h>

void gcctl_recorder_clear(gcctl_recorder *recorder) {
    memset(recorder, 0, sizeof *recorder);
}

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

void gcctl_recorder_add(gcctl_recorder *recorder, const gcctl_event *event) {
    gcctl_tally *tally = &recorder->tally[event->generation];
    tally->collected += event->collected;
    if (event->reason != GCCTL_REASON_CONCURRENT) {
        tally->collections++;
        tally->pause_total_ns += event->pause_ns;
    }
    gcctl_totals_add(&recorder->generation[event->generation], event);
    recorder->by_reason[event->reason]++;
    recorder->ring[(uint64_t)recorder->written % GCCTL_RING_SIZE] = *event;
    recorder->written++;
}
