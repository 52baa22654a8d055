"""Counters stay exact however threads and tasks are interleaved."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from threads import in_threads

import gcctl

THREADS, REQUESTS = 8, 5000

pytestmark = pytest.mark.usefixtures("short_collections")


def test_every_request_is_one_boundary() -> None:
    gcctl.install("production", gen0_every=3, gen1_every=30, gen2_every=None)
    kept = gcctl.request()

    def work() -> None:
        for number in range(REQUESTS):
            with kept if number % 2 else gcctl.request():
                pass

    in_threads(work, THREADS)
    stats = gcctl.stats()
    assert stats.requests == THREADS * REQUESTS
    assert stats.in_flight == 0
    assert stats.unmatched_exits == 0
    total = THREADS * REQUESTS
    # Of collections that fall due while one runs, the highest is run afterwards.
    assert 0 < stats.collections_by_reason.scheduled <= total // 3
    assert 0 < stats.collections_by_generation[1] <= total // 30


def test_nothing_is_lost_when_collections_meet() -> None:
    """Finalizers let other threads run in the middle of a collection."""

    class Slow:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            for _ in range(20):
                pass

    gcctl.install(gen0_every=1, gen1_every=50, gen2_every=None)

    def work() -> None:
        for _ in range(500):
            with gcctl.request():
                Slow()

    in_threads(work, THREADS)
    gcctl.tick()  # what was owed
    stats = gcctl.stats()
    assert stats.requests == THREADS * 500 + 1
    assert stats.in_flight == 0
    assert stats.faults == 0
    assert sum(stats.collections_by_reason) == stats.collections
    assert gc.collect() < 100 * 4, "young garbage was collected on the way"


def test_statistics_are_consistent_while_others_count() -> None:
    gcctl.install(gen0_every=1)
    done = threading.Event()
    wrong: list[gcctl.Stats] = []

    def observe() -> None:
        while not done.is_set():
            stats = gcctl.stats()
            if sum(stats.collections_by_reason) != stats.collections or (
                sum(count for _, count in stats.pause_histogram) != stats.collections
            ):
                wrong.append(stats)

    observer = threading.Thread(target=observe)
    observer.start()

    def work() -> None:
        for _ in range(1000):
            with gcctl.request():
                pass

    in_threads(work)
    done.set()
    observer.join()
    assert wrong == []


def test_tasks_in_flight_are_counted() -> None:
    gcctl.install()
    seen: list[int] = []

    async def handler() -> None:
        async with gcctl.request():
            await asyncio.sleep(0)
            seen.append(gcctl.stats().in_flight)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(handler() for _ in range(100)))

    asyncio.run(main())
    assert max(seen) == 100
    assert gcctl.stats().requests == 100
    assert gcctl.stats().in_flight == 0
