/* -std=c11 hides clock_gettime unless POSIX is asked for before the first header. */
#define _POSIX_C_SOURCE 200809L

#include "core/clock.h"

#if defined(_WIN32)

#include <windows.h>

int64_t gcctl_clock_now(void) {
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    /* ticks * 10^9 would overflow after some days of uptime, so whole seconds are split off. */
    int64_t seconds = ticks.QuadPart / per_second.QuadPart;
    int64_t rest = ticks.QuadPart % per_second.QuadPart;
    return seconds * 1000000000 + rest * 1000000000 / per_second.QuadPart;
}

#elif defined(__APPLE__)

#include <mach/mach_time.h>

int64_t gcctl_clock_now(void) {
    /* numer and denom are small (1/1 or 125/3). With whole multiples of denom split off, the
       products do not overflow for centuries. */
    mach_timebase_info_data_t base;
    mach_timebase_info(&base);
    uint64_t ticks = mach_absolute_time();
    return (int64_t)(ticks / base.denom * base.numer +
                     ticks % base.denom * base.numer / base.denom);
}

#else

#include <time.h>

int64_t gcctl_clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif

#if defined(CLOCK_MONOTONIC_COARSE)

int64_t gcctl_clock_coarse(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#else

int64_t gcctl_clock_coarse(void) {
    return gcctl_clock_now();
}

#endif
