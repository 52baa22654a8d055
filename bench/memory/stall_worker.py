"""A worker process: how long another thread stands still while freed memory is given back.

Its arguments are THREAD BYTES. It prints a row in JSON. malloc locks each of its arenas while it
trims it, and a thread usually has an arena of its own. So it matters which thread had the memory
that is given back.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time

from bench.memory.objects import block, build
from gcctl._process import twins

OTHER = "a thread with other memory"
SAME = "the thread that had the memory"
TICK_SECONDS = 0.0005
TICK_BYTES = 2000  # more than malloc keeps at hand for the thread

STEADY_SECONDS = 0.1


class Ticker:
    """A thread that notes when it last ran, and allocates."""

    def __init__(self) -> None:
        self.gaps: list[tuple[float, float]] = []
        self.objects: list[object] = []
        self._built = threading.Event()
        self._stopped = False

    def start(self, size_bytes: int) -> threading.Thread:
        """Returns when the thread has built objects of so many bytes, which it owns."""
        thread = threading.Thread(target=self._run, args=(size_bytes,))
        thread.start()
        self._built.wait()
        return thread

    def stop(self) -> None:
        self._stopped = True

    def longest(self, since: float, until: float) -> float:
        """Seconds of the longest gap within this time, or reaching into it."""
        return max(end - start for start, end in self.gaps if end >= since and start <= until)

    def _run(self, size_bytes: int) -> None:
        if size_bytes:
            self.objects = build(block, size_bytes)
        self._built.set()
        before = time.perf_counter()
        while not self._stopped:
            time.sleep(TICK_SECONDS)
            bytearray(TICK_BYTES)
            now = time.perf_counter()
            self.gaps.append((before, now))
            before = now


def main(stalled: str, size_bytes: int) -> None:
    gc.disable()
    ticker = Ticker()
    thread = ticker.start(size_bytes if stalled == SAME else 0)
    objects = ticker.objects or build(block, size_bytes)
    survivor = objects.pop()
    objects.clear()
    time.sleep(STEADY_SECONDS)
    freed = twins.memory.rss()
    began = time.perf_counter()
    twins.memory.trim()
    ended = time.perf_counter()
    freed -= twins.memory.rss()
    time.sleep(STEADY_SECONDS)
    at_rest = time.perf_counter()
    time.sleep(max(ended - began, 2 * TICK_SECONDS))  # as long: of more gaps the longest is longer
    rested = time.perf_counter()
    time.sleep(STEADY_SECONDS)
    ticker.stop()
    thread.join()
    del survivor
    stall, rest = ticker.longest(began, ended), ticker.longest(at_rest, rested)
    row = {
        "stalled": stalled,
        "bytes": freed,
        "trim_ns": round((ended - began) * 1e9),
        "stall_ns": round(stall * 1e9),
        "rest_ns": round(rest * 1e9),
        "stall_over_rest_ns": round((stall - rest) * 1e9),
    }
    json.dump(row, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
