#include "core/last_minute.h"

#include <string.h>

static int64_t slot_number(int64_t time_ns) {
    return time_ns / (GCCTL_LAST_MINUTE_SLOT_SECONDS * INT64_C(1000000000));
}

void gcctl_last_minute_clear(gcctl_last_minute *minute) {
    memset(minute, 0, sizeof *minute);
}

void gcctl_last_minute_add(gcctl_last_minute *minute, const gcctl_event *event) {
    int64_t number = slot_number(event->time_ns);
    gcctl_last_minute_slot *slot = &minute->slot[(uint64_t)number % GCCTL_LAST_MINUTE_SLOTS];
    if (slot->number != number) { /* of an earlier minute */
        memset(slot, 0, sizeof *slot);
        slot->number = number;
    }
    slot->collections[event->generation]++;
    gcctl_totals_add(&slot->all, event);
}

void gcctl_last_minute_sum(const gcctl_last_minute *minute, int64_t now_ns,
                           gcctl_last_minute_slot *sum) {
    int64_t now = slot_number(now_ns);
    memset(sum, 0, sizeof *sum);
    for (int index = 0; index < GCCTL_LAST_MINUTE_SLOTS; index++) {
        const gcctl_last_minute_slot *slot = &minute->slot[index];
        if (slot->number > now || slot->number <= now - GCCTL_LAST_MINUTE_SLOTS) {
            continue;
        }
        for (int generation = 0; generation < GCCTL_GENERATIONS; generation++) {
            sum->collections[generation] += slot->collections[generation];
        }
        gcctl_totals_merge(&sum->all, &slot->all);
    }
}
