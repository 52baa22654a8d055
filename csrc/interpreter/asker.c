#include "interpreter/asker.h"

#include <Python.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "interpreter/resident_bytes.h"
#include "interpreter/timer_thread.h"

#define NEVER GCCTL_TIMER_THREAD_NEVER

enum {
    RETRY_NS = 2000000,   /* to the next try, when CPython's queue was full */
    WATCH_NS = 100000000, /* from one check of the resident set to the next */
    /* Up to CPython 3.12, a main thread that is busy does not notice a pending call of another
       thread before it gets the GIL again. So if it has not answered after so long, it has to give
       the GIL away for a moment. */
    NOTICE_NS = 1000000,
    NOTICES_AT_ONCE = PY_VERSION_HEX >= 0x030D0000
};

typedef struct one_alarm {
    _Atomic int64_t ask_at_ns;
    _Atomic int64_t enable_at_ns;
    _Atomic int64_t resident_bytes;
    _Atomic int64_t notice_at_ns;
    _Atomic int64_t asked_ns; /* when the main thread was asked last; NEVER: it has answered */
    _Atomic bool queued;      /* a pending call for this alarm is in CPython's queue */
} one_alarm;

static one_alarm alarms[GCCTL_ASKER_ALARMS];

static int (*answer)(void *);

static void ask_when_due(int number, int64_t now) {
    one_alarm *alarm = &alarms[number];
    int64_t at = alarm->ask_at_ns;
    if (at > now || !atomic_compare_exchange_strong(&alarm->ask_at_ns, &at, NEVER)) {
        return; /* not yet, or it was moved in this moment */
    }
    alarm->asked_ns = now;
    if (atomic_exchange(&alarm->queued, true)) {
        return; /* it has not answered yet: one call in the queue is enough */
    }
    /* On 3.11 this reads the state of whichever thread has the GIL, to know its interpreter. Should
       that thread end in this very moment, the freed memory still says the same. */
    if (Py_AddPendingCall(answer, (void *)(intptr_t)number) < 0) {
        int64_t none = NEVER;
        alarm->queued = false;
        atomic_compare_exchange_strong(&alarm->ask_at_ns, &none, now + RETRY_NS);
    } else if (!NOTICES_AT_ONCE) {
        alarm->notice_at_ns = now + NOTICE_NS;
    }
}

/* The thread's own thread state, made where the GIL is held: to make one takes memory, and without
   the GIL that is no moment to call Python's allocators (tracemalloc may be about to end). It is kept
   for the next thread. Owned, until the process ends. */
static PyThreadState *thread_state;

static bool take_gil(void) {
    if (thread_state == NULL) {
        return false;
    }
    PyEval_AcquireThread(thread_state);
    return true;
}

static void give_gil(void) {
    PyEval_ReleaseThread(thread_state);
}

static void have_it_noticed_when_due(one_alarm *alarm, int64_t now) {
    if (alarm->notice_at_ns <= now) {
        alarm->notice_at_ns = NEVER;
        if (alarm->queued && take_gil()) {
            give_gil();
        }
    }
}

static void enable_when_due(one_alarm *alarm, int64_t now) {
    int64_t at = alarm->enable_at_ns;
    if (at > now) {
        return;
    }
    if (gcctl_resident_bytes_now() < alarm->resident_bytes) {
        atomic_compare_exchange_strong(&alarm->enable_at_ns, &at, now + WATCH_NS);
        return;
    }
    if (!take_gil()) {
        return;
    }
    /* Whoever sets or clears an alarm has the GIL: this one is as it is until the GIL is released. */
    if (atomic_compare_exchange_strong(&alarm->enable_at_ns, &at, NEVER)) {
        PyGC_Enable();
    }
    give_gil();
}

static void do_what_is_due(int64_t now) {
    for (int i = 0; i < GCCTL_ASKER_ALARMS; i++) {
        ask_when_due(i, now);
        have_it_noticed_when_due(&alarms[i], now);
        enable_when_due(&alarms[i], now);
    }
}

static int64_t earlier(int64_t one, int64_t other) {
    return one < other ? one : other;
}

static int64_t next_time(void) {
    int64_t next = NEVER;
    for (int i = 0; i < GCCTL_ASKER_ALARMS; i++) {
        next = earlier(next, earlier(alarms[i].ask_at_ns, alarms[i].enable_at_ns));
        next = earlier(next, alarms[i].notice_at_ns);
    }
    return next;
}

static void forget_all(void) {
    for (int i = 0; i < GCCTL_ASKER_ALARMS; i++) {
        gcctl_asker_clear(i);
        alarms[i].notice_at_ns = NEVER;
        alarms[i].queued = false;
    }
    thread_state = NULL; /* Python frees those of other threads in a forked child */
    gcctl_timer_thread_forget();
}

void gcctl_asker_begin(int (*call)(void *alarm)) {
    if (answer == NULL) { /* once: pthread_atfork cannot be undone */
        gcctl_timer_thread_begin(next_time, do_what_is_due);
        forget_all();
        /* Not a hook of Python, because a fork of a C library runs none. */
        pthread_atfork(NULL, NULL, forget_all);
    }
    answer = call;
}

void gcctl_asker_set(int number, int64_t ask_at_ns, int64_t enable_at_ns, int64_t resident_bytes) {
    if (thread_state == NULL && (!NOTICES_AT_ONCE || enable_at_ns != NEVER)) {
        thread_state = PyThreadState_New(PyInterpreterState_Main());
        if (thread_state != NULL) {
            thread_state->thread_id = 0; /* else who looks for this thread's state finds that one */
        }
    }
    alarms[number].resident_bytes = resident_bytes;
    alarms[number].enable_at_ns = enable_at_ns;
    alarms[number].ask_at_ns = ask_at_ns;
    gcctl_timer_thread_expect(earlier(ask_at_ns, enable_at_ns));
}

void gcctl_asker_clear(int number) {
    alarms[number].ask_at_ns = alarms[number].enable_at_ns = NEVER;
    alarms[number].asked_ns = NEVER;
}

int64_t gcctl_asker_take(int number) {
    alarms[number].queued = false;
    int64_t asked = atomic_exchange(&alarms[number].asked_ns, NEVER);
    return asked == NEVER ? -1 : gcctl_timer_thread_now() - asked;
}
