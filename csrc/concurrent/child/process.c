#define _GNU_SOURCE
#include "concurrent/child/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { UNSHARE = 1 << 1 }; /* CLOSE_RANGE_UNSHARE, which older headers lack */

int gcctl_process_clone(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* The memory is copied, the stack is the same, there is no exit signal. The table of
       descriptors is shared until the child leaves it. In a copy of the table, a socket that the
       parent closes would stay open until the child first runs, and its other end would wait. */
    long child = syscall(SYS_clone, (long)CLONE_FILES, 0L, 0L, 0L, 0L);
    int error = errno;
    if (child != 0) {
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return child < 0 ? -error : (int)child;
}

/* The kernel writes the entries of a directory like this. */
typedef struct {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
} entry;

/* For Linux before 5.9, which has no close_range. Returns false if /proc/self/fd cannot be read. */
static bool close_listed_descriptors(void) {
    static _Alignas(entry) char entries[4096]; /* used by the child alone */
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    if (directory < 0) {
        return false;
    }
    long bytes;
    while ((bytes = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long at = 0; at < bytes;) {
            const entry *found = (const entry *)(const void *)(entries + at);
            int descriptor = 0;
            for (const char *digit = found->name; '0' <= *digit && *digit <= '9'; digit++) {
                descriptor = descriptor * 10 + (*digit - '0');
            }
            if (found->name[0] != '.' && descriptor != directory) {
                close(descriptor);
            }
            at += found->length;
        }
    }
    close(directory);
    return true;
}

static bool leave_descriptors(void) {
    if (syscall(SYS_close_range, 0U, ~0U, UNSHARE) == 0) {
        return true;
    }
    return unshare(CLONE_FILES) == 0 && close_listed_descriptors();
}

static void be_killed_first(void) {
    static const char most[] = "1000";
    int file = open("/proc/self/oom_score_adj", O_WRONLY);
    if (file >= 0) {
        ssize_t ignored = write(file, most, sizeof most - 1);
        (void)ignored;
        close(file);
    }
}

bool gcctl_process_settle(int cpu_seconds) {
    struct rlimit cpu = {(rlim_t)cpu_seconds, (rlim_t)cpu_seconds};
    setrlimit(RLIMIT_CPU, &cpu);
    if (!leave_descriptors()) {
        return false;
    }
    be_killed_first(); /* before the next line, after which our files in /proc belong to root */
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    struct sched_param none;
    memset(&none, 0, sizeof none);
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
        setpriority(PRIO_PROCESS, 0, 19);
    }
    return true;
}

bool gcctl_process_has_parent(int parent) {
    return getppid() == parent;
}

int64_t gcctl_process_own_memory(void) {
    static char text[4096]; /* used by the child alone */
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0) {
        close(file);
    }
    static const char name[] = "Private_Dirty:";
    const char *found = length > 0 ? strstr(text, name) : NULL;
    if (found == NULL) {
        return -1;
    }
    int64_t kib = 0;
    for (found += sizeof name - 1; *found == ' '; found++) {
    }
    for (; '0' <= *found && *found <= '9'; found++) {
        kib = kib * 10 + (*found - '0');
    }
    return kib * 1024;
}

_Noreturn void gcctl_process_exit(int status) {
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}
