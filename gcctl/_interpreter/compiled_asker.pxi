# Asking the main thread to do something at a time, and the thread of C that does it.
# Included by compiled.pyx. asking.py is what other modules use.

import posix

from libc.stdint cimport INT64_MAX, int64_t, intptr_t

from gcctl._interpreter.csrc cimport (
    GCCTL_ASKER_ALARMS, GCCTL_ASKER_BATCH, GCCTL_ASKER_HOLD, GCCTL_ASKER_IDLE,
    GCCTL_ASKER_PROFILE, gcctl_alone_exchange, gcctl_alone_put_back, gcctl_asker_begin,
    gcctl_asker_clear, gcctl_asker_set, gcctl_asker_take, gcctl_timer_thread_pause,
    gcctl_timer_thread_resume,
)

IDLE = GCCTL_ASKER_IDLE
HOLD = GCCTL_ASKER_HOLD
BATCH = GCCTL_ASKER_BATCH
PROFILE = GCCTL_ASKER_PROFILE
NEVER = INT64_MAX

cdef extern from "Python.h":
    ctypedef struct PyInterpreterState:
        pass

    PyInterpreterState *PyInterpreterState_Get()
    PyInterpreterState *PyInterpreterState_Main()


cdef list answers = [None] * GCCTL_ASKER_ALARMS


cdef int answer_alarm(void *number) except -1:
    """CPython calls this in the main thread, between two bytecodes of the program. Up to 3.11 they
    may be those of another interpreter, which that thread runs at this moment."""
    if PyInterpreterState_Get() != PyInterpreterState_Main():
        gcctl_asker_take(<int><intptr_t>number)
        return 0
    cdef int64_t waited_ns = gcctl_asker_take(<int><intptr_t>number)
    cdef object answer = answers[<intptr_t>number]
    if waited_ns >= 0 and answer is not None:
        answer(waited_ns)
    return 0


gcctl_asker_begin(answer_alarm)


def set_answer(int alarm, answer):
    """Have `answer(waited_ns)` called for that alarm. What it raises reaches the program. None:
    nothing is called, also where it was asked for already."""
    answers[alarm] = answer


def set_alarm(int alarm, int64_t ask_at_ns, int64_t enable_at_ns, int64_t resident_bytes):
    """Ask at the one time; enable automatic GC at the other, if the resident set has that size."""
    gcctl_asker_set(alarm, ask_at_ns, enable_at_ns, resident_bytes)


def clear_alarm(int alarm):
    gcctl_asker_clear(alarm)


def pause_asking():
    """End the thread, and make none until `resume_asking()`. Returns when it is gone."""
    gcctl_timer_thread_pause()


def resume_asking():
    gcctl_timer_thread_resume()


def exchange_lone_calls():
    """Have the thread gone while one of os.fork(), os.unshare() and the like runs."""
    gcctl_alone_exchange(posix)


def put_back_lone_calls():
    gcctl_alone_put_back()
