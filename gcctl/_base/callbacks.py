"""Messages to callbacks that can neither break nor slow the thread that has something to say."""

from __future__ import annotations

import _thread
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from gcctl._base import log

Message = TypeVar("Message")
Callback = Callable[[Message], object]

ROOM = 64
"""Messages that may wait; while a callback blocks, the oldest of more are dropped."""


class _Registered(Generic[Message]):
    """A callback, and the last message it was called with."""

    def __init__(self, callback: Callback[Message]) -> None:
        self.callback = callback
        self.told: Message | None = None


class CallbackThread(Generic[Message]):
    """Calls the callbacks in a thread that lives as long as there is something to deliver.

    What a callback raises is logged. One that blocks keeps the others of this delivery waiting, and
    nobody else. One that was added twice is called twice.

    Without a lock, for a fork would leave one locked in the child: what stands between two calls is
    one step.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._registered: tuple[_Registered[Message], ...] = ()
        self._waiting: deque[Message] = deque(maxlen=ROOM)
        self._thread = 0  # 0: none
        self.dropped = 0

    def add(self, callback: Callback[Message]) -> None:
        """Raises TypeError for what cannot be called."""
        if not callable(callback):
            raise TypeError(f"a callback for {self._what} is called with it, not {callback!r}")
        registered = _Registered(callback)
        self._registered = (*self._registered, registered)

    def send(self, message: Message) -> None:
        """To all callbacks; sent once more, to those that were added since."""
        if not self._registered:
            return
        if len(self._waiting) == ROOM:
            self.dropped += 1
        self._waiting.append(message)
        self.resume()

    def finish(self, seconds: float) -> None:
        """Wait until all is delivered, at most so long; not at all in a callback."""
        self.resume()
        deadline = time.monotonic() + seconds
        while self._thread:
            if self._thread == _thread.get_ident():
                return
            if time.monotonic() >= deadline:
                break
            time.sleep(0.001)
        if self._waiting or self.dropped:
            log.warning(
                "callbacks for %s: %d not delivered yet, %d dropped while one of them blocked",
                self._what,
                len(self._waiting),
                self.dropped,
            )

    def after_fork(self) -> None:
        """In the child, which has none of the parent's threads and is told none of its news."""
        self._waiting.clear()
        self._thread = 0
        self.dropped = 0

    def resume(self) -> None:
        """Deliver what has been waiting since no thread could be started."""
        if not self._waiting or self._thread:
            return
        self._thread = -1
        try:
            # threading.Thread.start() would wait until the thread runs.
            _thread.start_new_thread(self._run, ())
        except Exception:
            # No threads at this moment, or, when the interpreter shuts down, no more.
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
            # One may have been sent between the last look and the line above.
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
