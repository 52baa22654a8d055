"""When the policy checks: at boundaries, by a pace, and from a thread while no boundary comes.

A check costs 0.1 ms to 0.4 ms in a small service, which is mostly not collecting. So each check is
twice as far from the last one as that was, up to eight times `check_interval`, while nothing grows.

No boundary comes at idle, and in a request that does not end. A thread does their work then.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from typing import Final, Protocol

from gcctl._auto.debt import Debt
from gcctl._base.clock import monotonic, sleep
from gcctl._base.late import before_a_thread

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
"""The thread works when no boundary has come for so long."""

STEP_SECONDS: Final = 0.005
"""The time to the next call of `work()` when there is more to do at once."""

GONE_SECONDS: Final = 1.0
"""How long `stop()` waits for a call of `work()` to return."""


class IdleThread:
    """The thread exists while there is something to wait for, and is gone before a fork.

    `work()` does what is due. It returns the seconds until it wants to be called again; None: not
    before the next boundary. If it raises, `fault()` is called. `boundaries()` is their number.

    There is no lock that another thread could hold at a fork: the lines between two calls are one
    step for other threads.
    """

    def __init__(
        self,
        work: Callable[[], float | None],
        boundaries: Callable[[], int],
        fault: Callable[[], object],
    ) -> None:
        self._work = work
        self._boundaries = boundaries
        self._fault = fault
        self._native_id = 0  # the system's number of the last thread
        self._wake: _thread.LockType | None = None  # of the thread that runs; released to stop it
        # The threads that have not ended, with their numbers; 0: it has not begun.
        self._threads: dict[_thread.LockType, int] = {}

    def stand_by(self) -> None:
        """Work if the next boundary does not come. To be called at a boundary, or anywhere else."""
        if self._wake is not None:
            return
        before_a_thread()
        # Two callers at once make two threads. The first thread ends when it finds that it was
        # replaced.
        wake = self._wake = _thread.allocate_lock()
        wake.acquire()
        self._threads[wake] = 0
        try:
            _thread.start_new_thread(self._run, (wake,))
        except RuntimeError:  # no threads at this moment, or no more
            self._wake = None
            del self._threads[wake]

    def stop(self) -> None:
        """End the thread and wait until it is gone, for `GONE_SECONDS` at most. The thread itself
        does not wait."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.release()
        deadline = monotonic.seconds() + GONE_SECONDS
        while self._is_there() and monotonic.seconds() < deadline:
            sleep(0.0002)

    def _is_there(self) -> bool:
        """Whether there is a thread to wait for."""
        if _thread.get_ident() in self._threads.values():
            return False
        if self._threads:
            return True
        # The system knows it a little longer than Python. A greenlet in its place never had a
        # thread of its own.
        mine = self._native_id == _thread.get_native_id()
        return not mine and os.path.exists(f"/proc/self/task/{self._native_id}")

    def after_fork(self) -> None:
        """In the child. It has no such thread."""
        self._wake = None
        self._threads = {}
        self._native_id = 0

    def _run(self, wake: _thread.LockType) -> None:
        self._threads[wake] = _thread.get_ident()
        self._native_id = _thread.get_native_id()
        pause = INTERVAL_SECONDS
        seen = self._boundaries()
        while not wake.acquire(timeout=pause) and self._wake is wake:
            boundaries = self._boundaries()
            wanted = self._call_work() if boundaries == seen else INTERVAL_SECONDS
            seen = boundaries
            pause = INTERVAL_SECONDS if wanted is None else wanted
            # If a boundary has come meanwhile, it found this thread there and made no other.
            if wanted is None and self._boundaries() == boundaries:
                break
        if self._wake is wake:
            self._wake = None
        self._threads.pop(wake, None)

    def _call_work(self) -> float | None:
        try:
            return self._work()
        except Exception:
            self._fault()
            return None
