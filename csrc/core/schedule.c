#include "core/schedule.h"

void gcctl_schedule_set(gcctl_schedule *schedule, const int64_t every[GCCTL_SLOTS]) {
    for (int slot = 0; slot < GCCTL_SLOTS; slot++) {
        schedule->every[slot] = every[slot];
        schedule->at[slot] = every[slot] > 0 ? every[slot] : INT64_MAX;
    }
    gcctl_schedule_take(schedule, 0); /* nothing is due; this sets `nearest` */
}

int gcctl_schedule_take(gcctl_schedule *schedule, int64_t request) {
    int due = 0;
    int64_t nearest = INT64_MAX;
    for (int slot = 0; slot < GCCTL_SLOTS; slot++) {
        if (request >= schedule->at[slot]) {
            due |= 1 << slot;
            schedule->at[slot] += schedule->every[slot];
        }
        if (schedule->at[slot] < nearest) {
            nearest = schedule->at[slot];
        }
    }
    schedule->nearest = nearest;
    return due;
}
