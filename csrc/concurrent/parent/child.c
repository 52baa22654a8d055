#define _GNU_SOURCE /* wait4, __WALL */
#include "concurrent/parent/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

bool gcctl_child_reap(int child, gcctl_child_end *end) {
    struct rusage used;
    int status = 0;
    pid_t found;
    memset(&used, 0, sizeof used);
    do {
        found = wait4(child, &status, WNOHANG | __WALL, &used);
    } while (found < 0 && errno == EINTR);
    if (found == 0) {
        return false;
    }
    end->status = status;
    end->cpu_ns = ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000 +
                  ((int64_t)used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
    return true;
}

void gcctl_child_kill(int child) {
    kill(child, SIGKILL);
}
