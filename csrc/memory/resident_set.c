#include "memory/resident_set.h"

#if defined(_WIN32)

#include <windows.h>

#include <psapi.h>

int64_t gcctl_resident_set_bytes(void) {
    PROCESS_MEMORY_COUNTERS counters;
    if (!GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)) {
        return -1;
    }
    return (int64_t)counters.WorkingSetSize;
}

#elif defined(__APPLE__)

#include <mach/mach.h>

int64_t gcctl_resident_set_bytes(void) {
    mach_task_basic_info_data_t info;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &count) !=
        KERN_SUCCESS) {
        return -1;
    }
    return (int64_t)info.resident_size;
}

#else

int64_t gcctl_resident_set_bytes(void) {
    return -1;
}

#endif
