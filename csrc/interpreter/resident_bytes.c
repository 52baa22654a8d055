#define _POSIX_C_SOURCE 200809L

#include "interpreter/resident_bytes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int64_t gcctl_resident_bytes_now(void) {
    char text[128] = "";
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return INT64_MAX;
    }
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    char *second = text;
    strtoll(text, &second, 10);
    long long pages = size > 0 ? strtoll(second, NULL, 10) : 0;
    return pages > 0 ? (int64_t)pages * sysconf(_SC_PAGESIZE) : INT64_MAX;
}
