"""A thread that does what boundaries do while none comes: at idle, and in a request without end."""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable
from typing import Final

INTERVAL_SECONDS: Final = 0.1
"""How long no boundary has come when it acts."""

STEP_SECONDS: Final = 0.005
"""Between two acts of which the first said that there is more to do at once."""

GONE_SECONDS: Final = 1.0
"""How long stopping waits for an act that is under way."""


class IdleThread:
    """The thread is there while there is something to wait for, and gone before a fork.

    `act()` does what is due, and returns how many seconds later it wants to be called again; None:
    not before the next boundary. What it raises is a `fault()`. `boundaries()` is their number.

    Without a lock that another thread could hold: what stands between two calls is one step.
    """

    def __init__(
        self,
        act: Callable[[], float | None],
        boundaries: Callable[[], int],
        fault: Callable[[], object],
    ) -> None:
        self._act = act
        self._boundaries = boundaries
        self._fault = fault
        self._native_id = 0  # of the last thread, as the system knows it
        self._wake: _thread.LockType | None = None  # of the thread that runs; released to stop it
        self._threads: dict[_thread.LockType, int] = {}  # those that have not ended; 0: not begun

    def stand_by(self) -> None:
        """At a boundary, or anywhere else: act when the next one does not come."""
        if self._wake is not None:
            return
        # Two at once make two threads, of which the first ends when it finds it is not the one.
        wake = self._wake = _thread.allocate_lock()
        wake.acquire()
        self._threads[wake] = 0
        try:
            _thread.start_new_thread(self._run, (wake,))
        except RuntimeError:  # no threads at this moment, or no more
            self._wake = None
            del self._threads[wake]

    def stop(self) -> None:
        """End the thread, and wait until it is gone: not for ever, nor in an act of its own."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.release()
        deadline = time.monotonic() + GONE_SECONDS
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(0.0002)

    def _is_there(self) -> bool:
        """Is there a thread to wait for?"""
        if _thread.get_ident() in self._threads.values():
            return False
        if self._threads:
            return True
        # For the system it is there a little longer. A greenlet in its place never was.
        mine = self._native_id == _thread.get_native_id()
        return not mine and os.path.exists(f"/proc/self/task/{self._native_id}")

    def after_fork(self) -> None:
        """In the child, which has no such thread."""
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
            wanted = self._do() if boundaries == seen else INTERVAL_SECONDS
            seen = boundaries
            pause = INTERVAL_SECONDS if wanted is None else wanted
            # Else there was one meanwhile, which found this thread still there.
            if wanted is None and self._boundaries() == boundaries:
                break
        if self._wake is wake:
            self._wake = None
        self._threads.pop(wake, None)

    def _do(self) -> float | None:
        try:
            return self._act()
        except Exception:
            self._fault()
            return None
