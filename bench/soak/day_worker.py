"""A worker process: a day of a service in a minute. Does anything grow?

Its argument is BOUNDARIES; 10,000,000 are 24 hours. It prints a row in JSON. The controller is a
real one, on a core of its own with a simulated clock. The collector and the memory are real.
"""

from __future__ import annotations

import gc
import json
import logging
import mmap
import sys
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from bench.support.figures import ends
from gcctl._config.config import Config
from gcctl._lifecycle.installation import Installation
from gcctl._process import twins

BOUNDARY_NS = 8_640_000
SPELL = 3_500
"""Boundaries from one incident to the next, half a minute."""

INCIDENT = 120
"""Boundaries that an incident lasts: memory is checked every 12, settings every 116."""

FAILURES = 3
"""Requests that fail in a row. Only the first of them causes a collection."""

LONG_PAUSE_NS = 50_000_000
BURST = 100
"""Collections of generation 1 in a row: more than are allowed in a minute."""

ROOM_BYTES = 8 * 2**20
"""From the memory of the service to its limit."""

WARM_UP = 0.05
"""The share of the run that is not judged. Meanwhile records fill up, of the last alerts say."""


class Slow:
    """Garbage from the beginning, and slow to finalize."""

    def __init__(self, now: list[int]) -> None:
        self.now = now
        self.itself = self

    def __del__(self) -> None:
        self.now[0] += LONG_PAUSE_NS


class Day:
    """The service, and what happens to it."""

    def __init__(self) -> None:
        # A list, and a C function that reads it: a reading costs 40 ns, about three seconds a day.
        self._now = [10**12]
        clock: Callable[[], int] = partial(self._now.__getitem__, 0)
        self.core = twins.core_class(clock=clock)
        self.memory = twins.memory_class()
        config = Config(
            policy="production",
            gen1_every=1_000,
            gen2_every=10_000,
            memory_limit=self.memory.rss() + ROOM_BYTES,
            max_pause=LONG_PAUSE_NS / 2e9,
            recycle_after_requests=SPELL,
        )
        self.installation = Installation(
            config, "soak", lambda controller: None, core=self.core, memory=self.memory
        )
        self.controller = self.installation.controller
        self.controller.on_alert(lambda alert: None)
        self.incidents = (self.pause, self.use_memory, self.collect, self.change_settings)

    def start(self) -> None:
        self.controller.installed = True
        self.installation.start()

    def stop(self) -> None:
        self.installation.finish()
        self.installation.restore()
        self.controller.installed = False
        self.installation.log_end()

    def serve(self, requests: int) -> None:
        request, now = self.core.request(), self._now
        for _ in range(requests):
            now[0] += BOUNDARY_NS
            with request:
                cycle: list[Any] = []
                cycle.append(cycle)
                del cycle  # garbage at this boundary

    def spell(self, number: int) -> None:
        """One incident, requests that fail, and requests as usual."""
        self.incidents[number % len(self.incidents)]()
        for _ in range(FAILURES):
            self._now[0] += BOUNDARY_NS
            with suppress(ValueError), self.core.request():
                raise ValueError
        self.controller.check_memory()
        self.controller.report()
        self.serve(SPELL - INCIDENT - FAILURES)

    def pause(self) -> None:
        """The collection at the boundary runs a finalizer that takes its time."""
        self._now[0] += BOUNDARY_NS
        with self.core.request():
            Slow(self._now)
        self.serve(INCIDENT - 1)

    def use_memory(self) -> None:
        # Not from malloc, which may keep it.
        with mmap.mmap(-1, 2 * ROOM_BYTES) as ballast:
            ballast[:: mmap.PAGESIZE] = bytes(len(ballast) // mmap.PAGESIZE)
            self.serve(INCIDENT)

    def collect(self) -> None:
        for _ in range(BURST):
            gc.collect(1)
        self.serve(INCIDENT)

    def change_settings(self) -> None:
        found = gc.get_threshold()
        gc.set_threshold(found[0] + 1)
        self.serve(INCIDENT)
        gc.set_threshold(*found)


def main(boundaries: int) -> None:
    logging.getLogger("gcctl").addHandler(logging.NullHandler())
    spells = -(-boundaries // SPELL)
    rss, blocks = (array("q", bytes(8 * spells)) for _ in range(2))  # they must not grow either
    day = Day()
    started = time.perf_counter()
    day.start()
    for number in range(spells):
        day.spell(number)
        gc.collect()  # empties the interpreter's free lists, which count as allocated
        rss[number] = day.memory.rss()
        blocks[number] = sys.getallocatedblocks()
    stats = day.controller.stats()
    day.stop()
    if stats.faults or 0 in stats.alert_counts[: len(day.incidents)]:
        sys.exit(f"not the day that was meant: {stats}")
    (rss_first, rss_last), (blocks_first, blocks_last) = ends(rss, WARM_UP), ends(blocks, WARM_UP)
    row = {
        "boundaries": stats.requests,
        "simulated_seconds": stats.elapsed_ns / 1e9,
        "took_seconds": time.perf_counter() - started,
        "failures": stats.failures,
        "collections": stats.collections,
        "by_reason": stats.collections_by_reason._asdict(),
        "alerts": stats.alert_counts._asdict(),
        "high_memory_events": stats.high_memory_events,
        "rss_first_bytes": rss_first,
        "rss_last_bytes": rss_last,
        "blocks_first": blocks_first,
        "blocks_last": blocks_last,
    }
    json.dump(row, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
