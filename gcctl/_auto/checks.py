"""When the policy checks: at boundaries, by a pace, and in other places while no boundary comes.

A check costs 0.1 ms to 0.4 ms in a small service, which is mostly not collecting. So each check is
twice as far from the last one as that was, up to eight times `check_interval`, while nothing grows.

No boundary comes at idle. Then the work of boundaries is done where the program can do it: by a
timer of its event loop, in its main thread when that is asked, or where a server wakes up.
"""

from __future__ import annotations

import sys
from _weakref import ref
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, Protocol

from gcctl._auto.debt import Debt
from gcctl._interpreter.asking import Alarm, asks, call_guarded

CALM_BYTES: Final = 2**18
"""From one check to the next, the resident set may grow by so much and still counts as calm."""

CALM_BOUNDARIES: Final = 50
"""So many boundaries may come from one check to the next. With more, a check costs little for
each."""

MOST_INTERVALS: Final = 8
"""The longest distance of two checks while nothing grows, in units of `check_interval`."""


class Boundaries(Protocol):
    """What the pace needs of the process."""

    def boundaries(self) -> int:
        """How many there were. 0: the program marks no requests."""

    def check_after(self, intervals: int) -> None:
        """Ask for the next check at the first boundary after so many intervals, where checks may
        be spaced out; 0: at the next boundary."""


class Pace:
    """Asks for the next check."""

    def __init__(self, process: Boundaries, longest_ns: int, rss: int) -> None:
        """`longest_ns`: no collection of generation 1 or 2 is let grow beyond this pause."""
        self._process = process
        self._longest_ns = longest_ns
        # As they were at the last check at a boundary.
        self._rss = rss
        self._boundaries = 0
        self._intervals = 1  # from that check to the next one

    def ask_for_next(
        self, rss: int, debts: tuple[Debt, Debt], boundary: bool, *, calm: bool
    ) -> None:
        """A check is being made: ask for the next one. `debts`: of generations 1 and 2. `calm`: no
        full collection runs or waits."""
        process = self._process
        if not boundary:  # the first boundary after some time without any has a check
            self._intervals = 0
            process.check_after(0)
            return
        middle, recent = debts
        owed_ns = max(middle.predicted_ns, recent.predicted_ns - recent.kept_ns)
        boundaries = process.boundaries()
        calm = (
            calm
            and rss - self._rss <= CALM_BYTES
            and boundaries - self._boundaries <= CALM_BOUNDARIES
            and owed_ns * 2 < self._longest_ns  # else it could be too much after twice the time
        )
        self._rss, self._boundaries = rss, boundaries
        self._intervals = min(max(self._intervals * 2, 1), MOST_INTERVALS) if calm else 1
        process.check_after(self._intervals)


INTERVAL_SECONDS: Final = 0.1
"""Idle work begins when no boundary has come for so long."""

STEP_SECONDS: Final = 0.005
"""The time to the next piece of idle work when there is more to do at once."""

LATE_NS: Final = 20_000_000
"""If the main thread answers so much later, it has slept: most likely it is woken by a request now,
which must not wait for idle work."""

MOST_SECONDS: Final = 6.4
"""After each late answer the next one is asked for after twice the time, up to this."""

RECENT_NS: Final = 250_000_000
"""A place that has answered so long ago need not be asked again."""

PATIENCE_NS: Final = 250_000_000
"""If nothing has answered for so long after the first question, nothing more is tenured until
something does."""

SILENT_NS: Final = 10 * 10**9
"""If nothing has answered for so long, tenured objects are given back. Health checks come every ten
seconds, as a rule: with them, a service that has nothing else to do answers often enough."""

SILENT_GROWTH: Final = 0.05
LEAST_SILENT_GROWTH: Final = 8 * 2**20
GROWTH_SILENT_NS: Final = 500_000_000
"""They are given back as soon as this where the resident set has grown by this share meanwhile, and
so many bytes at least."""

OVERDUE_NS: Final = 10**9
"""A timer that is so late has a loop that runs no more, most likely."""


class Places:
    """Whether there is a place where idle work can be done: one that has answered lately.

    Boundaries are such places, and wherever idle work is done. Where there is none, nobody can see
    to what is out of automatic GC's reach.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._answered_ns = 0  # 0: never yet
        self._asked_ns = 0  # the first time since that answer; 0: not asked yet
        self._asked_rss = 0
        self._ask_at_ns = 0  # not sooner

    def forget(self) -> None:
        """Nothing is known of any place."""
        self._answered_ns = self._asked_ns = 0

    def note_answer(self) -> None:
        self._answered_ns = self._now()
        self._asked_ns = 0

    def are_to_be_asked(self) -> bool:
        """Whether it is time to ask: where nothing has answered lately, ten times a second."""
        now = self._now()
        if now - self._answered_ns < RECENT_NS or now < self._ask_at_ns:
            return False
        self._ask_at_ns = now + int(INTERVAL_SECONDS * 1e9)
        return True

    def note_asked(self, rss: int) -> None:
        if not self._asked_ns:
            self._asked_ns, self._asked_rss = self._now(), rss

    @property
    def answer(self) -> bool:
        """Whether one has answered, and none has left a question open since."""
        if not self._answered_ns:
            return False
        return not self._asked_ns or self._now() - self._asked_ns < PATIENCE_NS

    def are_silent(self, rss: int) -> bool:
        """Whether nothing has answered for so long that nothing will."""
        if not self._asked_ns:
            return False
        silent_ns = self._now() - self._asked_ns
        growth = rss - self._asked_rss
        grown = growth > max(self._asked_rss * SILENT_GROWTH, LEAST_SILENT_GROWTH)
        return silent_ns > (GROWTH_SILENT_NS if grown else SILENT_NS)


def running_loop() -> Any:
    """The event loop that runs in this thread, or None."""
    # The module may be in the middle of its import.
    running = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return running() if running is not None else None


class LoopTimer:
    """Has an event loop of the program call `ring()`, in its own thread."""

    def __init__(
        self, ring: Callable[[], object], now: Callable[[], int], fault: Callable[[], object]
    ) -> None:
        self._ring = ring
        self._now = now
        self._fault = fault
        self._loop: Callable[[], Any] = lambda: None  # a weak reference
        self._due_ns = 0  # of the timer that was started last; 0: it has rung

    def loop(self) -> Any:
        """The loop that ran last at a boundary, if it still runs; else None."""
        loop = self._loop()
        try:
            return loop if loop is not None and loop.is_running() else None
        except Exception:  # it is somebody's own kind of loop
            return None

    def start(self, loop: Any, delay_ns: int, *, within: bool) -> bool:
        """Start the timer, unless it runs. False where the loop does not take it. `within`: this is
        the loop's thread, and between two steps of its work."""
        now = self._now()
        if self._due_ns and now < self._due_ns + OVERDUE_NS and self._loop() is loop:
            return True
        due_ns = now + delay_ns
        try:
            self._loop = ref(loop)
            # Context variables of a request would live on with the timer.
            context = Context()
            if within:
                context.run(loop.call_later, delay_ns / 1e9, self._rings, due_ns)
            else:
                context.run(loop.call_soon_threadsafe, self._start_within, loop, due_ns)
        except Exception:  # it was closed, or is somebody's own kind of loop
            return False
        self._due_ns = due_ns
        return True

    def forget(self) -> None:
        """A timer that runs does not ring, and its loop is not known any more."""
        self._due_ns = 0
        self._loop = lambda: None

    def _start_within(self, loop: Any, due_ns: int) -> None:
        with suppress(Exception):  # it is about to close
            loop.call_later(max(due_ns - self._now(), 0) / 1e9, self._rings, due_ns)

    def _rings(self, due_ns: int) -> None:
        if due_ns == self._due_ns:  # else it was stopped, or another has taken its place
            self._due_ns = 0
            call_guarded(self._ring, self._fault)


class Process(Protocol):
    """What idle work needs to know of the process."""

    def now(self) -> int: ...
    def boundaries(self) -> int: ...
    def in_flight(self) -> int: ...
    def collecting(self) -> bool: ...


class IdleWork:
    """Has `work()` called while no boundary comes, in a thread of the program.

    Where an event loop runs at boundaries, a timer of it calls. Else the main thread is asked. It
    does nothing in a request (but `in_request()` is called), in a collection, or when it answers
    late.

    `work()` does one thing that is due. It returns the seconds until it wants to be called again;
    None: not before the next boundary.
    """

    def __init__(
        self,
        process: Process,
        work: Callable[[], float | None],
        in_request: Callable[[], object],
        fault: Callable[[], object],
    ) -> None:
        self._process = process
        self._work = work
        self._in_request = in_request
        self._asks = asks()
        self._alarm = Alarm("IDLE", self._answer, fault)
        self._timer = LoopTimer(lambda: self._ring(within=True), process.now, fault)
        self._boundaries = 0  # at the last call, or when it was asked for
        self._pause = INTERVAL_SECONDS  # until the next question after a late answer
        self._ended = False

    def stand_by(self) -> None:
        """At a boundary: work if the next one does not come."""
        self._pause = INTERVAL_SECONDS
        self._ask_after(INTERVAL_SECONDS, running_loop(), within=True)

    def ask(self, seconds: float = 0.0) -> None:
        """In a gc callback, in the middle of anything: work soon."""
        self._ask_after(seconds, running_loop(), within=False)

    def stop(self) -> None:
        """Nothing is called from now on."""
        self._ended = True
        self._timer.forget()
        self._alarm.end()

    def after_fork(self) -> None:
        """In the child, where nobody runs the loop of the parent."""
        self._timer.forget()

    def _ask_after(self, seconds: float, loop: Any, *, within: bool) -> None:
        if self._ended:
            return
        self._boundaries = self._process.boundaries()
        delay_ns = int(seconds * 1e9)
        here = within and loop is not None
        loop = loop if loop is not None else self._timer.loop()
        if loop is not None and self._timer.start(loop, delay_ns, within=here):
            return
        if self._asks:
            self._alarm.set(self._process.now() + delay_ns)

    def _answer(self, waited_ns: int) -> None:
        """In the main thread, in the middle of anything."""
        process = self._process
        if waited_ns > LATE_NS:
            if self._pause < MOST_SECONDS:
                self._pause *= 2
                self._alarm.set(process.now() + int(self._pause * 1e9))
        elif process.collecting():
            self._alarm.set(process.now() + int(STEP_SECONDS * 1e9))
        elif not process.in_flight():
            self._pause = INTERVAL_SECONDS
            self._ring(within=False)
        elif process.boundaries() != self._boundaries:
            self._ask_after(INTERVAL_SECONDS, None, within=False)
        else:
            self._in_request()  # the next boundary asks again

    def _ring(self, *, within: bool) -> None:
        if self._ended:
            return
        wanted: float | None = INTERVAL_SECONDS
        if self._process.boundaries() == self._boundaries:
            wanted = self._work()
        if wanted is not None:
            self._ask_after(wanted, running_loop(), within=within)
