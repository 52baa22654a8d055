"""Callbacks in a thread of their own, which can neither break nor slow the thread that sends."""

from __future__ import annotations

import _thread
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from gcctl._base import log
from gcctl._base.clock import monotonic, sleep
from gcctl._base.late import before_a_thread

Message = TypeVar("Message")
Callback = Callable[[Message], object]

ROOM = 64
"""Messages that may wait. If there are more while a callback blocks, the oldest are dropped."""


class _Registered(Generic[Message]):
    """A callback, and the last message it was called with."""

    def __init__(self, callback: Callback[Message]) -> None:
        self.callback = callback
        self.told: Message | None = None


class CallbackThread(Generic[Message]):
    """Calls callbacks in a thread, which lives as long as there are messages to deliver.

    An exception of a callback is logged. A callback that blocks keeps the other callbacks of this
    object waiting, and nobody else. A callback that was added twice is called twice.

    There is no lock, because a fork could leave it locked in the child. The code relies on this:
    CPython does not switch threads in the middle of code that calls nothing.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._registered: tuple[_Registered[Message], ...] = ()
        self._waiting: deque[Message] = deque(maxlen=ROOM)
        self._thread = 0  # 0: none
        self.dropped = 0

    def add(self, callback: Callback[Message]) -> None:
        """Raises TypeError if `callback` cannot be called."""
        if not callable(callback):
            raise TypeError(f"a callback for {self._what} is called with it, not {callback!r}")
        before_a_thread()
        registered = _Registered(callback)
        self._registered = (*self._registered, registered)

    def send(self, message: Message) -> None:
        """Deliver to all callbacks. The last message can be sent again: then it goes only to those
        callbacks that were added since."""
        if not self._registered:
            return
        if len(self._waiting) == ROOM:
            self.dropped += 1
        self._waiting.append(message)
        self.resume()

    def finish(self, seconds: float) -> None:
        """Wait until everything is delivered, at most so long. Inside a callback, do not wait."""
        self.resume()
        deadline = monotonic.seconds() + seconds
        while self._thread:
            if self._thread == _thread.get_ident():
                return
            if monotonic.seconds() >= deadline:
                break
            sleep(0.001)
        if self._waiting or self.dropped:
            log.warning(
                "callbacks for %s: %d not delivered yet, %d dropped while one of them blocked",
                self._what,
                len(self._waiting),
                self.dropped,
            )

    def after_fork(self) -> None:
        """In the child: it has no thread of the parent, and its callbacks get no message of it."""
        self._waiting.clear()
        self._thread = 0
        self.dropped = 0

    def resume(self) -> None:
        """Deliver messages that wait because no thread could be started."""
        if not self._waiting or self._thread:
            return
        self._thread = -1
        try:
            # threading.Thread.start() would wait until the thread runs.
            _thread.start_new_thread(self._run, ())
        except Exception:
            # No thread can be started at this moment; or none any more, as the interpreter ends.
            self._thread = 0

    def _run(self) -> None:
        me, process = _thread.get_ident(), os.getpid()
        self._thread = me
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                for registered in self._registered:
                    self._tell(registered, message)
                    if os.getpid() != process:  # a callback has forked, and this is the child
                        return
            self._thread = 0
            # A message may have been sent after the loop had ended and before the line above.
            if not self._waiting or self._thread:
                return
            self._thread = me

    def _tell(self, registered: _Registered[Message], message: Message) -> None:
        if registered.told is message:
            return
        registered.told = message
        try:
            registered.callback(message)
        except BaseException:  # the thread is ours: nothing may end it
            with suppress(BaseException):
                log.exception("a callback for %s failed", self._what)
