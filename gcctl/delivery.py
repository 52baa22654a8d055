"""Messages to callbacks that can neither break nor slow the thread that has something to say."""

from __future__ import annotations

import _thread
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

logger = logging.getLogger("gcctl")

Message = TypeVar("Message")
Callback = Callable[[Message], object]

ROOM = 64
"""Messages that may wait; while a callback blocks, the oldest of more are dropped."""


class Delivery(Generic[Message]):
    """Calls the callbacks in a thread that lives as long as there is something to deliver.

    What a callback raises is logged. One that blocks keeps the others of this delivery waiting, and
    nobody else.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._callbacks: tuple[Callback[Message], ...] = ()
        self._waiting: deque[Message] = deque(maxlen=ROOM)
        self._thread = 0  # 0: none
        self.dropped = 0

    def add(self, callback: Callback[Message]) -> None:
        """Raises TypeError for what cannot be called."""
        if not callable(callback):
            raise TypeError(f"a callback for {self._what} is called with it, not {callback!r}")
        self._callbacks = (*self._callbacks, callback)

    def send(self, message: Message) -> None:
        if not self._callbacks:
            return
        if len(self._waiting) == ROOM:
            self.dropped += 1
        self._waiting.append(message)
        # threading.Thread.start() would wait until the thread runs.
        if not self._thread:
            self._thread = -1
            try:
                _thread.start_new_thread(self._run, ())
            except BaseException:  # no threads at this moment: the interpreter is shutting down
                self._thread = 0
                raise

    def finish(self, seconds: float) -> None:
        """Wait until all is delivered, at most so long; not at all in a callback."""
        deadline = time.monotonic() + seconds
        while self._thread and self._thread != _thread.get_ident():
            if time.monotonic() >= deadline:
                break
            time.sleep(0.001)

    def after_fork(self) -> None:
        """In the child, which has none of the parent's threads and is told none of its news."""
        self._waiting.clear()
        self._thread = 0
        self.dropped = 0

    def _run(self) -> None:
        me = self._thread = _thread.get_ident()
        while True:
            while self._waiting:
                self._deliver(self._waiting.popleft())
            if self._thread != me:  # a callback has forked, and this is the child
                return
            self._thread = 0
            # One may have been sent between the last look and the line above.
            if not self._waiting or self._thread:
                return
            self._thread = me

    def _deliver(self, message: Message) -> None:
        for callback in self._callbacks:
            try:
                callback(message)
            except BaseException:  # the thread is ours: nothing may end it
                with suppress(Exception):
                    logger.exception("a callback for %s failed", self._what)
