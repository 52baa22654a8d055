#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { UNSHARE = 1 << 1 }; /* CLOSE_RANGE_UNSHARE */

int gcctl_child_create(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* A copy of the memory, on the same stack, no exit signal. The table of descriptors is shared
       until the child leaves it: in a copy, what the parent closes before the child has its first
       turn would stay open, and the other end of a socket would wait. */
    long child = syscall(SYS_clone, (long)CLONE_FILES, 0L, 0L, 0L, 0L);
    int error = errno;
    if (child != 0) {
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return child < 0 ? -error : (int)child;
}

/* As the kernel writes entries of a directory. */
typedef struct {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
} entry;

/* Each one that /proc/self/fd lists: before Linux 5.9. False where it cannot be read. */
static bool close_listed_descriptors(void) {
    static _Alignas(entry) char entries[4096]; /* of the child alone */
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

static void be_the_first_to_go(void) {
    static const char most[] = "1000";
    int file = open("/proc/self/oom_score_adj", O_WRONLY);
    if (file >= 0) {
        ssize_t ignored = write(file, most, sizeof most - 1);
        (void)ignored;
        close(file);
    }
}

bool gcctl_child_settle(int cpu_seconds) {
    struct rlimit cpu = {(rlim_t)cpu_seconds, (rlim_t)cpu_seconds};
    setrlimit(RLIMIT_CPU, &cpu);
    if (!leave_descriptors()) {
        return false;
    }
    be_the_first_to_go(); /* before the next line makes our files in /proc root's */
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    struct sched_param none;
    memset(&none, 0, sizeof none);
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
        setpriority(PRIO_PROCESS, 0, 19);
    }
    return true;
}

bool gcctl_child_has_parent(int parent) {
    return getppid() == parent;
}

int64_t gcctl_child_own_memory(void) {
    static char text[4096]; /* of the child alone */
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

_Noreturn void gcctl_child_exit(int status) {
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

bool gcctl_child_reap(int child, gcctl_child_usage *usage) {
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
    usage->status = status;
    usage->cpu_ns = ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000 +
                    ((int64_t)used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
    return true;
}

void gcctl_child_kill(int child) {
    kill(child, SIGKILL);
}
