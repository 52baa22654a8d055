/* Asking the main thread of the program to do something at a time.

   There are some alarms. When the time of one has come, a thread of C (timer_thread.h) puts a
   pending call into CPython's queue: the main thread makes that call when it next runs Python code.
   That needs neither the GIL nor a thread state, so the thread has none, and no code of the program
   can run in it.

   An alarm may have a second time, for the case that the main thread does not answer. Automatic GC
   is then enabled. For that the thread takes a thread state for a moment, as it does up to CPython
   3.12 for a busy main thread to notice the call. It makes no object then, so nothing is collected
   in it.

   All functions want the GIL. */
#ifndef GCCTL_ASKER_H
#define GCCTL_ASKER_H

#include <stdint.h>

enum {
    GCCTL_ASKER_IDLE,
    GCCTL_ASKER_HOLD,
    GCCTL_ASKER_BATCH,
    GCCTL_ASKER_PROFILE,
    GCCTL_ASKER_ALARMS /* how many there are */
};

/* `answer` is what the main thread is to call, with the number of the alarm in place of a pointer.
   To be called before anything else. */
void gcctl_asker_begin(int (*answer)(void *alarm));

/* Ask at `ask_at_ns`. Enable automatic GC at `enable_at_ns`, unless the resident set is smaller than
   `resident_bytes` then: in that case try again, ten times a second. */
void gcctl_asker_set(int alarm, int64_t ask_at_ns, int64_t enable_at_ns, int64_t resident_bytes);

void gcctl_asker_clear(int alarm);

/* To be called first by the answer. Returns for how many nanoseconds it was waited for; -1: the
   alarm was cleared meanwhile, or the call is one too many. */
int64_t gcctl_asker_take(int alarm);

#endif
