"""Live heaps and garbage to collect, and a concurrent collection with a clock around each step."""

from __future__ import annotations

import gc
import random
import time
import weakref
from itertools import pairwise
from typing import Any

import gcctl

FRESH = "fresh"
AGED = "aged"

BYTES_PER_OBJECT = 250
"""Memory for a tracked object of these heaps, with what it refers to, the child's tables and the
pages copied meanwhile: about 200 are needed."""

WATCHED = 10_000
"""Dead objects that have a weak reference, at most."""

BETWEEN_BOUNDARIES_SECONDS = 0.0005

Record = dict[str, Any]
Row = dict[str, Any]


class Node:
    """An instance among the garbage."""


def live(kind: str, objects: int) -> list[Record]:
    """Dicts holding lists, created in order; aged: shuffled, then linked pairwise."""
    records: list[Record] = [{"a": [number]} for number in range(objects // 2)]
    if kind == AGED:
        random.Random(1).shuffle(records)
        for one, other in zip(records[::2], records[1::2], strict=False):
            one["next"], other["previous"] = other, one
        # A list younger than what it refers to. The first full collection comes to the records
        # before it, so it sorts them by who refers to them, and not by age: from then on whoever
        # goes through them, finds memory in no order.
        records = records.copy()
    return records


def refer(one: Any, other: object) -> None:
    if isinstance(one, Node):
        one.next = other  # type: ignore[attr-defined]
    elif isinstance(one, list):
        one.append(other)
    else:
        one["next"] = other


def garbage(objects: int, largest: int, seed: int) -> list[weakref.ref[Node]]:
    """That many dead objects in the oldest generation, in cycles of 2 to `largest` (all in one, if
    there are no more): instances, lists and dicts from all over the memory they take. Returns weak
    references to some."""
    chance = random.Random(seed)
    members: list[Any] = [make() for _ in range(objects // 3 + 1) for make in (Node, list, dict)]
    del members[objects:]
    nodes = members[::3]
    chance.shuffle(members)
    start = 0
    while start < objects:
        size = objects if objects <= largest else chance.randint(2, largest)
        if objects - start - size < 2:  # nothing would be left for a cycle
            size = objects - start
        cycle = members[start : start + size]
        refer(cycle[-1], cycle[0])
        for one, other in pairwise(cycle):
            refer(one, other)
        start += size
    gc.collect(1)
    return [weakref.ref(node) for node in chance.sample(nodes, min(len(nodes), WATCHED))]


def alive(references: list[weakref.ref[Node]]) -> int:
    return sum(reference() is not None for reference in references)


def collect_beside() -> tuple[gcctl.ConcurrentCollection, int]:
    """A concurrent collection at the boundaries of a process with nothing else to do, and how long
    the longest of all calls took: the start, or any of the boundaries."""
    began = time.perf_counter_ns()
    handle = gcctl.collect_concurrently()
    longest_ns = time.perf_counter_ns() - began
    while handle.outcome is None:
        time.sleep(BETWEEN_BOUNDARIES_SECONDS)
        began = time.perf_counter_ns()
        gcctl.tick()
        longest_ns = max(longest_ns, time.perf_counter_ns() - began)
    return handle, longest_ns
