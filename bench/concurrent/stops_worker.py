"""A worker process: how long a concurrent full collection stops it, against gc.collect().

Its arguments are KIND LIVE DEAD LARGEST ROUNDS. It prints a row in JSON. LIVE objects are tracked
by the collector. Before each collection, DEAD objects in cycles of up to LARGEST are made garbage.
"""

from __future__ import annotations

import gc
import json
import logging
import random
import statistics
import sys
import time
from typing import Any

import gcctl
from bench.support.heaps import alive, garbage, live
from gcctl._process import twins

BETWEEN_BOUNDARIES_SECONDS = 0.0005


class NotCollectedError(Exception):
    """A collection fell back to stop-the-world, or was void: that outcome."""


def stopped(dead: int, largest: int, seed: int) -> dict[str, float]:
    """gc.collect(), and what it found besides that garbage: left by the collections before."""
    references = garbage(dead, largest, seed)
    began, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
    found = gc.collect()
    cpu_ns, took_ns = time.thread_time_ns() - cpu_ns, time.perf_counter_ns() - began
    return {
        "gc_ns": took_ns,
        "gc_cpu_ns": cpu_ns,
        "left_before": found - dead + alive(references),
    }


def collect_beside() -> tuple[gcctl.ConcurrentCollection, int]:
    """A concurrent collection at the boundaries of a process with nothing else to do. The second
    is how long the longest of all calls took, in ns: the start, or any of the boundaries."""
    began = time.perf_counter_ns()
    handle = gcctl.collect_concurrently()
    longest_ns = time.perf_counter_ns() - began
    while handle.outcome is None:
        time.sleep(BETWEEN_BOUNDARIES_SECONDS)
        began = time.perf_counter_ns()
        gcctl.tick()
        longest_ns = max(longest_ns, time.perf_counter_ns() - began)
    return handle, longest_ns


def beside(dead: int, largest: int, seed: int) -> dict[str, float]:
    """A concurrent collection, and a second one if that left anything."""
    references = garbage(dead, largest, seed)
    handle, longest_ns = collect_beside()
    if handle.outcome != "collected":
        raise NotCollectedError(handle.outcome)
    run = handle.measured
    collections = 1
    if alive(references):
        collect_beside()
        collections = 2
    return {
        "start_ns": run.start_pause_ns,
        "slice_ns": run.sweep_pause_max_ns,
        "stop_ns": max(run.start_pause_ns, run.sweep_pause_max_ns),
        "longest_call_ns": longest_ns,
        "slices": run.slices,
        "sweep_ns": run.sweep_total_ns,
        "answer_ns": run.answer_ns,
        "child_cpu_ns": run.child_cpu_ns,
        "found_objects": run.tracked_objects,
        "components": run.components,
        "largest_component": run.largest_component,
        "table_bytes_per_object": run.table_bytes / run.tracked_objects,
        # Negative where the child could not tell how much memory it has.
        "beyond_tables_bytes": run.child_memory_bytes - run.table_bytes,
        "collections": collections,
        "left": alive(references),
    }


def measure(dead: int, largest: int, rounds: int) -> list[dict[str, float]]:
    """Both in each round, in an order drawn anew."""
    measured = []
    for number in range(rounds):
        one: dict[str, float] = {}
        for case in random.sample((stopped, beside), 2):
            one |= case(dead, largest, number)
        # By its CPU time: a busy machine makes a long call longer by the clock, but not a stop.
        one["times_shorter"] = one["gc_cpu_ns"] / one["stop_ns"]
        one["times_by_clock"] = one["gc_ns"] / one["stop_ns"]
        work_ns = one["child_cpu_ns"] + one["start_ns"] + one["sweep_ns"]
        one["times_work"] = work_ns / one["gc_cpu_ns"]
        measured.append(one)
    return measured


def worst(measured: list[dict[str, float]], name: str) -> float:
    return max(one[name] for one in measured)


def main(kind: str, objects: int, dead: int, largest: int, rounds: int) -> None:
    logging.getLogger("gcctl").addHandler(logging.NullHandler())
    gc.disable()
    row: dict[str, Any] = {"kind": kind, "objects": objects, "dead": dead, "largest": largest}
    before = twins.memory.rss()
    records = live(kind, objects)
    gc.collect()
    heap_bytes = twins.memory.rss() - before
    row |= {"tracked": len(gc.get_objects()), "heap_bytes": heap_bytes, "rounds": rounds}
    with gcctl.install("off", monitoring=False):
        try:
            measured = measure(dead, largest, rounds)
        except NotCollectedError as error:
            json.dump({**row, "skipped": str(error)}, sys.stdout)
            return
        rest = gc.collect()
    row |= {name: statistics.median(one[name] for one in measured) for name in measured[0]}
    row |= {
        "beyond_tables_share": row["beyond_tables_bytes"] / heap_bytes,
        "stop_worst_ns": worst(measured, "stop_ns"),
        "longest_call_worst_ns": worst(measured, "longest_call_ns"),
        "collections": worst(measured, "collections"),
        "left": max(rest, worst(measured, "left"), worst(measured, "left_before")),
    }
    del records
    json.dump(row, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
