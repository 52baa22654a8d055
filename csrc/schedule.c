#include "schedule.h"

static void find_nearest(gcctl_schedule *schedule) {
    schedule->nearest = INT64_MAX;
    for (int slot = 0; slot < GCCTL_SLOTS; slot++) {
        if (schedule->at[slot] < schedule->nearest) {
            schedule->nearest = schedule->at[slot];
        }
    }
}

void gcctl_schedule_set(gcctl_schedule *schedule, const int64_t every[GCCTL_SLOTS]) {
    for (int slot = 0; slot < GCCTL_SLOTS; slot++) {
        schedule->every[slot] = every[slot];
        schedule->at[slot] = every[slot] > 0 ? every[slot] : INT64_MAX;
    }
    find_nearest(schedule);
}

int gcctl_schedule_take(gcctl_schedule *schedule, int64_t request) {
    int due = 0;
    for (int slot = 0; slot < GCCTL_SLOTS; slot++) {
        if (request < schedule->at[slot]) {
            continue;
        }
        due |= 1 << slot;
        schedule->at[slot] += schedule->every[slot];
    }
    find_nearest(schedule);
    return due;
}
