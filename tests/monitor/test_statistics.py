"""Statistics: of everything, of each generation, of the last minute; memory samples; shares."""

from __future__ import annotations

import gc
import itertools
import time

import pytest
from collecting import Node
from hypothesis import given
from hypothesis import strategies as st
from memory_hog import MIB, block
from processes import wait_until

import gcctl
from gcctl._monitor.statistics import SAMPLE_NS, SAMPLES_KEPT, CollectionStats, Monitor
from gcctl._process import twins


def run_requests(count: int) -> None:
    for _ in range(count):
        with gcctl.request():
            Node()


def test_generations_add_up_to_the_whole() -> None:
    gcctl.install("production")
    run_requests(230)
    stats = gcctl.stats()
    assert stats.collections_by_generation == (207, 21, 2)
    assert sum(each.collections for each in stats.generations) == stats.collections == 230
    assert sum(each.objects_collected for each in stats.generations) == stats.objects_collected
    assert sum(each.pause_total_ns for each in stats.generations) == stats.pause_total_ns
    assert max(each.pause_max_ns for each in stats.generations) == stats.pause_max_ns
    for each in (*stats.generations, stats):
        assert each.pause_percentile_ns(0) <= each.pause_max_ns
        assert each.pause_mean_ns <= each.pause_max_ns
        assert each.pause_percentile_ns(100) == each.pause_max_ns
        assert each.objects_per_ms > 0


def test_the_last_minute_is_all_there_is_in_the_first_one() -> None:
    gcctl.install()
    run_requests(50)
    stats = gcctl.stats()
    assert stats.last_minute.collections == stats.collections
    assert stats.last_minute.collections_by_generation == stats.collections_by_generation
    assert stats.last_minute.pause_histogram == stats.pause_histogram


@pytest.mark.usefixtures("short_collections")
def test_shares_of_elapsed_time_and_of_cpu_time() -> None:
    gcctl.install(gen2_every=1)
    run_requests(20)
    time.sleep(0.05)
    stats = gcctl.stats()
    assert 0 < stats.pause_share < stats.pause_total_ns / 50_000_000
    assert stats.elapsed_ns >= 50_000_000
    assert stats.cpu_ns > 0
    assert stats.gc_cpu_share == stats.pause_total_ns / stats.cpu_ns


def test_nothing_divided_by_nothing_is_nothing() -> None:
    stats = gcctl.stats()
    assert stats.pause_share == stats.gc_cpu_share == stats.objects_per_ms == 0
    assert stats.pause_mean_ns == stats.pause_percentile_ns(99) == 0
    assert stats.collections_by_generation == (0, 0, 0)


def test_memory_is_sampled_at_boundaries() -> None:
    controller = gcctl.install("off", check_interval="1ms")
    before = twins.memory.rss()

    def sampled() -> bool:
        """At a boundary, and not by stats()."""
        gcctl.tick()
        peak: int = controller._parts.monitor.counters(0, None)["rss_peak_bytes"]
        return peak > before + 32 * MIB

    with block(64):
        wait_until(sampled)
    stats = gcctl.stats()
    assert stats.rss_bytes < stats.rss_mean_bytes < stats.rss_peak_bytes
    assert stats.memory_samples


@given(st.lists(st.tuples(st.integers(0, 10 * SAMPLE_NS), st.integers(0, 2**50)), max_size=300))
def test_samples_are_kept_a_second_apart_and_not_for_ever(steps: list[tuple[int, int]]) -> None:
    monitor = Monitor(0)
    now, sizes = 0, []
    for step, rss_bytes in steps:
        now += step
        sizes.append(rss_bytes)
        monitor.sample(now, rss_bytes)
    counters = monitor.counters(now, None)
    samples = counters["memory_samples"]
    assert len(samples) <= SAMPLES_KEPT
    for earlier, later in itertools.pairwise(samples):
        assert later.time_ns - earlier.time_ns >= SAMPLE_NS
    assert counters["rss_peak_bytes"] == max(sizes, default=0)
    assert counters["rss_mean_bytes"] == sum(sizes) // max(len(sizes), 1)


@given(collected=st.integers(0, 10**9), pause_ns=st.integers(1, 10**12))
def test_yield_is_objects_per_millisecond(collected: int, pause_ns: int) -> None:
    stats = CollectionStats(collections=1, objects_collected=collected, pause_total_ns=pause_ns)
    assert stats.objects_per_ms == collected * 1e6 / pause_ns


def test_statistics_take_no_part_in_what_they_measure() -> None:
    """Looking collects nothing, also while over the memory limit."""
    gcctl.install("off", automatic_gc=False, memory_limit=1)
    for _ in range(3):
        gcctl.stats()
    assert gcctl.stats().collections == 0
    assert not gcctl.stats().high_memory
    assert not gc.isenabled()
