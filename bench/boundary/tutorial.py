"""The request context of a tutorial on GC in services, to compare with.

Tables call it the source document. It uses the standard library only, and nothing is done for
speed: a generator-based context manager, a lock around the counters, collections by the remainder
of the number of requests, a list of pauses.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Iterator


class RequestGC:
    """Collects each generation every so many requests and keeps count."""

    def __init__(
        self,
        every: tuple[int, int, int] = (1, 10, 100),
        slow_ms: float = 5,
        report_every: int = 1000,
    ) -> None:
        self.gen0_every, self.gen1_every, self.gen2_every = every
        self.slow_ms = slow_ms
        self.report_every = report_every
        self.lock = threading.Lock()
        self.requests = 0
        self.collections = 0
        self.busy_seconds = 0.0
        self.pauses: list[float] = []

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.after_request(time.perf_counter() - started)

    def after_request(self, seconds: float) -> None:
        with self.lock:
            self.requests += 1
            self.busy_seconds += seconds
            number = self.requests
        started = time.perf_counter()
        collected = {}
        if number % self.gen0_every == 0:
            collected[0] = gc.collect(0)
        if number % self.gen1_every == 0:
            collected[1] = gc.collect(1)
        if number % self.gen2_every == 0:
            collected[2] = gc.collect(2)
        if collected:
            self.record(time.perf_counter() - started, collected)
        if number % self.report_every == 0:
            self.report()

    def record(self, pause: float, collected: dict[int, int]) -> None:
        with self.lock:
            self.collections += len(collected)
            self.pauses.append(pause)
        if pause * 1000 > self.slow_ms:
            print(f"slow collection: {pause * 1000:.2f} ms, collected {collected}")

    def report(self) -> None:
        with self.lock:
            pauses = self.pauses or [0.0]
            total = sum(pauses) * 1000
            print(
                f"{self.requests} requests, {self.collections} collections, "
                f"pause total {total:.2f} ms, mean {total / len(pauses):.2f} ms, "
                f"max {max(pauses) * 1000:.2f} ms"
            )
