/* -std=c11 hides clock_gettime, syscall and the like. */
#define _GNU_SOURCE

#include "interpreter/timer_thread.h"

#include <Python.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NEVER GCCTL_TIMER_THREAD_NEVER

enum {
    LINGER_NS = 1000000000,  /* the longest sleep, because a time that is taken back wakes nobody */
    GONE_NS = 1000000000,    /* how long to wait for the thread to be gone */
    STACK_BYTES = 256 * 1024 /* thread-local variables of all libraries take their part of it */
};

static struct {
    int64_t (*next_time)(void);
    void (*work)(int64_t);
    _Atomic uint32_t changes;        /* the thread sleeps until it changes */
    _Atomic int64_t sleeps_until_ns; /* NEVER: it does not sleep */
    _Atomic bool running;
    _Atomic int pauses;
    _Atomic pid_t tid, former_tid; /* of the last two threads; 0: none */
} timer;

int64_t gcctl_timer_thread_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void gcctl_timer_thread_begin(int64_t (*next_time)(void), void (*work)(int64_t now_ns)) {
    timer.next_time = next_time;
    timer.work = work;
    gcctl_timer_thread_forget();
}

void gcctl_timer_thread_forget(void) {
    timer.sleeps_until_ns = NEVER;
    timer.running = false;
    timer.pauses = 0;
    timer.tid = timer.former_tid = 0;
}

static bool is_needed(void) {
    return timer.pauses == 0 && timer.next_time() != NEVER;
}

static void wake(void) {
    timer.changes++;
    syscall(SYS_futex, &timer.changes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void sleep_until_next_time(void) {
    uint32_t seen = timer.changes;
    int64_t now = gcctl_timer_thread_now(), until = timer.next_time();
    until = until < now + LINGER_NS ? until : now + LINGER_NS;
    timer.sleeps_until_ns = until;
    /* From here on, who expects an earlier time finds that the thread sleeps, and wakes it. */
    if (until > now && timer.next_time() >= until && timer.pauses == 0) {
        struct timespec rest = {(until - now) / 1000000000, (until - now) % 1000000000};
        syscall(SYS_futex, &timer.changes, FUTEX_WAIT_PRIVATE, seen, &rest, NULL, 0);
    }
    timer.sleeps_until_ns = NEVER;
}

static void *run(void *unused) {
    timer.former_tid = timer.tid;
    timer.tid = (pid_t)syscall(SYS_gettid);
    for (;;) {
        if (!is_needed()) {
            timer.running = false;
            /* A time may have been set before that line, by somebody who found the thread there. */
            if (!is_needed() || atomic_exchange(&timer.running, true)) {
                return unused;
            }
        }
        sleep_until_next_time();
        if (timer.pauses == 0) {
            timer.work(gcctl_timer_thread_now());
        }
    }
}

/* What a fault of the thread itself raises: blocked, it would end the process without a word. */
static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static void run_if_needed(void) {
    if (!is_needed() || atomic_exchange(&timer.running, true)) {
        return;
    }
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (!error) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        sigfillset(&all);
        for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++) {
            sigdelset(&all, fatal[i]);
        }
        pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread inherits it */
        error = pthread_create(&thread, &attributes, run, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (error) {
        timer.running = false;
    }
}

void gcctl_timer_thread_expect(int64_t time_ns) {
    if (!timer.running) {
        run_if_needed();
    } else if (time_ns < timer.sleeps_until_ns) {
        wake();
    }
}

/* Once it is gone, the number is forgotten: the system may give it to another thread. */
static bool is_there(_Atomic pid_t *tid) {
    if (*tid != 0 && syscall(SYS_tgkill, getpid(), *tid, 0) != 0) {
        *tid = 0;
    }
    return *tid != 0;
}

static bool is_gone(void) {
    return !timer.running && !is_there(&timer.tid) && !is_there(&timer.former_tid);
}

void gcctl_timer_thread_pause(void) {
    timer.pauses++;
    if (is_gone()) {
        return;
    }
    wake();
    Py_BEGIN_ALLOW_THREADS const struct timespec step = {0, 50000};
    int64_t deadline = gcctl_timer_thread_now() + GONE_NS;
    while (!is_gone() && gcctl_timer_thread_now() < deadline) {
        nanosleep(&step, NULL);
    }
    Py_END_ALLOW_THREADS
}

void gcctl_timer_thread_resume(void) {
    if (timer.pauses > 0) { /* in a child that was forked meanwhile it is 0 already */
        timer.pauses--;
    }
    run_if_needed();
}
