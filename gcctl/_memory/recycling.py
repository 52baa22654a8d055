"""Advice to replace this worker by a fresh one. The server that runs the workers may follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gcctl._base import log
from gcctl._base.callbacks import Callback, CallbackThread
from gcctl._base.jitter import random_share
from gcctl._base.public import public
from gcctl._base.record import record


@public
@record()
class RecycleAdvice:
    """Why this worker should be replaced, after the request that it is working on."""

    reason: Literal["requests", "rss", "memory_limit"]
    """`requests`: it has served `recycle_after_requests`. `rss`: it is larger than `recycle_above`.
    `memory_limit`: collecting does not bring memory below `memory_limit`."""
    message: str
    """For people."""


class Recycling:
    """Thresholds of this worker, and the advice once one of them is passed."""

    def __init__(self, after_requests: int | None, above_bytes: int | None, jitter: float) -> None:
        self._configured = after_requests, above_bytes, jitter
        self._callbacks: CallbackThread[RecycleAdvice] = CallbackThread("advice to recycle")
        self._follow: Callable[[RecycleAdvice], object] | None = None
        self.draw()

    def draw(self) -> None:
        """Draw this worker's own thresholds at random, up to `jitter` below the configured ones.

        Forked workers draw different thresholds, so that they are not all recycled at once.
        """
        self.advice: RecycleAdvice | None = None
        after_requests, above_bytes, jitter = self._configured
        self.after_requests = after_requests and _drawn(after_requests, jitter)
        self.above_bytes = above_bytes and _drawn(above_bytes, jitter)

    def add_callback(self, callback: Callback[RecycleAdvice]) -> None:
        self._callbacks.add(callback)
        advice = self.advice
        if advice is not None:
            self._callbacks.send(advice)

    def follow(self, follow: Callable[[RecycleAdvice], object]) -> None:
        """Have an integration's `follow(advice)` called where the advice is given: at a boundary,
        and without a thread. It must be quick, and run no code of the program but its log's."""
        self._follow = follow
        if self.advice is not None:
            follow(self.advice)

    def advise(self, reason: Literal["requests", "rss", "memory_limit"], message: str) -> None:
        """Advise once: later calls do nothing, because a worker is recycled only once."""
        advice = RecycleAdvice(reason, message)
        if self.advice is not None:  # with the next line one step
            return
        self.advice = advice
        self._callbacks.send(advice)
        log.warning("this worker should be recycled: %s", message)
        if self._follow is not None:
            self._follow(advice)

    def resume(self) -> None:
        self._callbacks.resume()

    def finish(self, seconds: float) -> None:
        self._callbacks.finish(seconds)

    def after_fork(self) -> None:
        self.draw()
        self._callbacks.after_fork()


def _drawn(most: int, jitter: float) -> int:
    """A whole number from `(1 - jitter) * most` to `most`, never 0."""
    return max(most - int((int(most * jitter) + 1) * random_share()), 1)
