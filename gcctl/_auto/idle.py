"""A thread that does the work of boundaries while none comes.

That is at idle, and in a request that does not end.
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable
from typing import Final

from gcctl._base import threads

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
        threads.prepare()
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
        deadline = time.monotonic() + GONE_SECONDS
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(0.0002)

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
