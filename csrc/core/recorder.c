#include "core/recorder.h"

#include <string.h>

void gcctl_recorder_clear(gcctl_recorder *recorder) {
    memset(recorder, 0, sizeof *recorder);
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
