"""Advice to replace this worker by a fresh one; whoever runs the workers obeys it or does not."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Literal

from gcctl.delivery import Callback, Delivery

logger = logging.getLogger("gcctl")


@dataclass(frozen=True, slots=True)
class RecycleAdvice:
    """Why this worker should be replaced once it has finished the request in hand."""

    reason: Literal["requests", "rss", "memory_limit"]
    """`requests`: it has served `recycle_after_requests`. `rss`: it is larger than `recycle_above`.
    `memory_limit`: collecting does not get memory below `memory_limit`."""
    message: str


class Recycling:
    """Thresholds of this worker, and the advice once one of them is passed."""

    def __init__(self, after_requests: int | None, above_bytes: int | None, jitter: float) -> None:
        self._configured = after_requests, above_bytes, jitter
        self._delivery: Delivery[RecycleAdvice] = Delivery("advice to recycle")
        self.draw()

    def draw(self) -> None:
        """Draw this worker's own thresholds, from the last part below the configured ones.

        From the system's randomness, because forked workers share the state of `random`.
        """
        self.advice: RecycleAdvice | None = None
        after_requests, above_bytes, jitter = self._configured
        below = 1 - jitter * random.SystemRandom().random()
        self.after_requests = after_requests and max(round(after_requests * below), 1)
        self.above_bytes = above_bytes and max(round(above_bytes * below), 1)

    def add_callback(self, callback: Callback[RecycleAdvice]) -> None:
        self._delivery.add(callback)
        if self.advice is not None:
            self._delivery.send(self.advice)

    def advise(self, reason: Literal["requests", "rss", "memory_limit"], message: str) -> None:
        """The first advice stays; a worker is recycled once."""
        if self.advice is not None:
            return
        self.advice = RecycleAdvice(reason, message)
        self._delivery.send(self.advice)
        logger.warning("this worker should be recycled: %s", message)

    def finish(self, seconds: float) -> None:
        self._delivery.finish(seconds)

    def after_fork(self) -> None:
        self.draw()
        self._delivery.after_fork()
