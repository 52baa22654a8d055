#include "memory.h"

#include "status.h"

#if defined(_WIN32)

#include <windows.h>

#include <psapi.h>

int64_t gcctl_memory_rss(void) {
    PROCESS_MEMORY_COUNTERS counters;
    if (!GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)) {
        return -1;
    }
    return (int64_t)counters.WorkingSetSize;
}

int gcctl_memory_trim(void) {
    SIZE_T all = (SIZE_T)-1;
    return SetProcessWorkingSetSize(GetCurrentProcess(), all, all) ? GCCTL_OK : GCCTL_ERR;
}

#else

#if defined(__APPLE__)

#include <mach/mach.h>

int64_t gcctl_memory_rss(void) {
    mach_task_basic_info_data_t info;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &count) !=
        KERN_SUCCESS) {
        return -1;
    }
    return (int64_t)info.resident_size;
}

#else

int64_t gcctl_memory_rss(void) {
    return -1;
}

#endif

/* Any header of glibc tells whether this is glibc; stdint.h was one. */
#if defined(__GLIBC__)

#include <malloc.h>

int gcctl_memory_trim(void) {
    malloc_trim(0); /* 0 means that there was nothing to give back */
    return GCCTL_OK;
}

#else

int gcctl_memory_trim(void) {
    return GCCTL_ERR;
}

#endif

#endif
