/* A thread that does some work when its time has come.

   It has no thread state of Python and blocks all signals. It is there while there is a time to
   wait for, and up to a second longer. There is no lock: it shares what it waits for with the other
   threads by atomic operations only.

   All functions but gcctl_timer_thread_now want the GIL. */
#ifndef GCCTL_TIMER_THREAD_H
#define GCCTL_TIMER_THREAD_H

#include <stdint.h>

/* A time that never comes. */
#define GCCTL_TIMER_THREAD_NEVER INT64_MAX

/* The monotonic clock in nanoseconds, which all times are of. */
int64_t gcctl_timer_thread_now(void);

/* To be called before anything else. `next_time` returns the time of the next work, or NEVER;
   `work` is called in the thread when it has come, and must change what `next_time` returns. */
void gcctl_timer_thread_begin(int64_t (*next_time)(void), void (*work)(int64_t now_ns));

/* `next_time` may return this time from now on: wake or make the thread if that is necessary. Where
   none can be made, the next call tries again. */
void gcctl_timer_thread_expect(int64_t time_ns);

/* End the thread and wait until the system has forgotten it, for a second at most. The GIL is
   released while it waits. No thread is made before gcctl_timer_thread_resume, which is to be called
   once for each call of this. */
void gcctl_timer_thread_pause(void);

void gcctl_timer_thread_resume(void);

/* In a forked child: it has no such thread. */
void gcctl_timer_thread_forget(void);

#endif
