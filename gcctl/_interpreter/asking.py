"""Asking the main thread to do something at a time, while no code of gcctl runs.

A thread of Python cannot wait for that time: from CPython 3.12 on, automatic GC runs in whatever
thread allocates past the threshold, so it would run finalizers of the program. The thread that
waits is one of C (csrc/interpreter/timer_thread.h), and the main thread does the rest, between two
bytecodes of the program. It does so when it next runs Python code: at once where it is busy, later
where it sleeps, and never where it waits for other threads until the end.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys
from collections.abc import Callable
from typing import Final, Literal

from gcctl._base.clock import sleep
from gcctl._base.errors import ConfigError
from gcctl._base.late import before_a_thread
from gcctl._base.log import is_of_a_signal, log_fault
from gcctl._interpreter.mechanisms import compiled, missing
from gcctl._process.twins import core

NEVER: Final = (1 << 63) - 1
"""As a time: it never comes."""

STEP_SECONDS: Final = 0.01
LINGER_STEPS: Final = 100
"""A thread in place of asking sleeps in such steps, and ends after so many of them in vain."""


def asks() -> bool:
    """Whether this process can ask its main thread."""
    try:
        return not missing("asking")
    except ConfigError:  # install() tells of it
        return compiled is not None


class Alarm:
    """Has the main thread call `answer(waited_ns)` at a time that is set: so long after it.

    What goes wrong in it is a fault. What a signal handler of the program raises in it reaches the
    program. All times are nanoseconds of the core's clock.
    """

    _exchanged = False

    def __init__(
        self,
        kind: Literal["IDLE", "HOLD", "BATCH", "PROFILE"],
        answer: Callable[[int], object],
        fault: Callable[[], object] = log_fault,
    ) -> None:
        """`fault()` is called in an `except` clause. There may be several alarms of a kind, of
        which one is in use at a time."""
        self._number: int = getattr(compiled, kind, 0)
        self._answer = answer
        self._fault = fault
        self._listens = False

    def set(self, ask_at_ns: int, enable_at_ns: int = NEVER, resident_bytes: int = 0) -> None:
        """Set it, or move it. If the main thread has not answered by `enable_at_ns`, automatic GC
        is enabled, as soon as the resident set has that size. (`automatic_gc` does not know of
        that.) To be called where `asks()` is true."""
        if compiled is None:
            return
        if not self._listens:
            self._listens = True
            compiled.set_answer(self._number, self._call)
        if not Alarm._exchanged:
            Alarm._exchanged = True
            compiled.exchange_lone_calls()
        compiled.set_alarm(self._number, ask_at_ns, enable_at_ns, resident_bytes)

    def clear(self) -> None:
        if compiled is not None:
            compiled.clear_alarm(self._number)

    def end(self) -> None:
        """Clear it. Nothing is called from now on, also where it was asked for already."""
        self.clear()
        if compiled is not None and self._listens:
            self._listens = False
            compiled.set_answer(self._number, None)

    def _call(self, waited_ns: int) -> None:
        call_guarded(lambda: self._answer(waited_ns), self._fault)


def call_guarded(work: Callable[[], object], fault: Callable[[], object]) -> None:
    """Call `work()` in the middle of the program, which must not notice what goes wrong in it."""
    try:
        work()
    except Exception as error:
        if is_of_a_signal(error):
            raise
        fault()


class AlarmThread:
    """In place of an `Alarm`, where the process cannot ask: calls `work()` in a thread.

    `work` may run no code of the program. It may enable automatic GC as the last thing that it
    does: the thread ends with it.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._at_ns = NEVER
        self._thread: object = None  # stands for the thread that runs; None: none does

    def set(self, at_ns: int) -> None:
        self._at_ns = at_ns
        if self._thread is not None:
            return
        before_a_thread()
        self._thread = mine = object()
        try:
            _start_without_signals(self._run, mine)
        except RuntimeError:  # no threads at this moment, or no more
            self._thread = None

    def clear(self) -> None:
        self._at_ns = NEVER

    def after_fork(self) -> None:
        """In the child, which has no such thread."""
        self._at_ns = NEVER
        self._thread = None

    def _run(self, mine: object) -> None:
        steps = 0
        while self._thread is mine:
            rest = (self._at_ns - core.now()) / 1e9
            if rest <= 0:
                self._at_ns = NEVER
                self._thread = None  # who sets it from here on makes another thread
                self._work()
                return
            steps = steps + 1 if self._at_ns == NEVER else 0
            if steps > LINGER_STEPS:
                self._thread = None
                if self._at_ns == NEVER:  # it may have been set just before that line
                    return
                self._thread = mine
            sleep(min(rest, STEP_SECONDS))


def _start_without_signals(run: Callable[[object], None], argument: object) -> None:
    """Start a thread that the system gives no signal to: the program may wait for one in another
    thread."""
    import signal  # only here: few processes need it

    if sys.platform == "win32":
        _thread.start_new_thread(run, (argument,))
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        _thread.start_new_thread(run, (argument,))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def put_back() -> None:
    """Leave no trace: no thread, and the builtins of `os` as they were found. The next alarm that
    is set begins anew."""
    if compiled is None:
        return
    compiled.pause_asking()
    compiled.put_back_lone_calls()
    Alarm._exchanged = False
    compiled.resume_asking()


if compiled is not None:
    # The interpreter must not end while the thread puts something into its queue.
    atexit.register(compiled.pause_asking)
    if hasattr(os, "register_at_fork"):
        # In the child there is nothing to do: see gcctl_asker_begin.
        os.register_at_fork(before=compiled.pause_asking, after_in_parent=compiled.resume_asking)
