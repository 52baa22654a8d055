#include "window.h"

#include <string.h>

static int64_t number_at(int64_t time_ns) {
    return time_ns / (GCCTL_WINDOW_SLOT_SECONDS * INT64_C(1000000000));
}

void gcctl_window_clear(gcctl_window *window) {
    memset(window, 0, sizeof *window);
}

void gcctl_window_add(gcctl_window *window, const gcctl_event *event) {
    int64_t number = number_at(event->time_ns);
    gcctl_slot *slot = &window->slot[(uint64_t)number % GCCTL_WINDOW_SLOTS];
    if (slot->number != number) {
        memset(slot, 0, sizeof *slot);
        slot->number = number;
    }
    slot->collections[event->generation]++;
    gcctl_totals_add(&slot->all, event);
}

void gcctl_window_sum(const gcctl_window *window, int64_t now_ns, gcctl_slot *sum) {
    int64_t now = number_at(now_ns);
    memset(sum, 0, sizeof *sum);
    for (int index = 0; index < GCCTL_WINDOW_SLOTS; index++) {
        const gcctl_slot *slot = &window->slot[index];
        if (slot->number > now || slot->number <= now - GCCTL_WINDOW_SLOTS) {
            continue;
        }
        for (int generation = 0; generation < GCCTL_GENERATIONS; generation++) {
            sum->collections[generation] += slot->collections[generation];
        }
        gcctl_totals_merge(&sum->all, &slot->all);
    }
}
