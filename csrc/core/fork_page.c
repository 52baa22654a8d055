/* -std=c11 hides mmap's flags and madvise unless they are asked for before the first header. */
#define _GNU_SOURCE
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include "core/fork_page.h"

#if defined(_WIN32)

gcctl_fork_page *gcctl_fork_page_get(void) {
    static gcctl_fork_page page; /* nothing is forked there */
    return &page;
}

#else

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__) && !defined(MADV_WIPEONFORK)
#define MADV_WIPEONFORK 18 /* older than Linux 4.14: the kernel says so, and the handler remains */
#endif

static gcctl_fork_page *page;

static void clear_page(void) {
    memset(page, 0, sizeof *page);
}

gcctl_fork_page *gcctl_fork_page_get(void) {
    if (page != NULL) {
        return page;
    }
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) {
        return NULL;
    }
    page = found;
    /* The kernel clears it after each fork, also one by a system call. The handler is for systems
       that cannot: it runs in fork() of the C library. Both do no harm, and emulators accept the
       advice without following it. */
#if defined(MADV_WIPEONFORK)
    madvise(found, size, MADV_WIPEONFORK);
#endif
    pthread_atfork(NULL, NULL, clear_page);
    return page;
}

#endif
