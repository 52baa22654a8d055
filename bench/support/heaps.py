"""Live heaps, and garbage to collect."""

from __future__ import annotations

import gc
import random
import weakref
from itertools import pairwise
from typing import Any

FRESH = "fresh"
AGED = "aged"

BYTES_PER_OBJECT = 250
"""Memory per tracked object of these heaps, with some room: about 200 are needed. It has in it
what the object refers to, the child's tables and the pages copied meanwhile."""

WATCHED = 10_000
"""Dead objects that have a weak reference, at most."""

Record = dict[str, Any]


class Node:
    """An instance among the garbage."""


def live(kind: str, objects: int) -> list[Record]:
    """Dicts holding lists, created in order; aged: shuffled, then linked pairwise."""
    records: list[Record] = [{"a": [number]} for number in range(objects // 2)]
    if kind == AGED:
        random.Random(1).shuffle(records)
        for one, other in zip(records[::2], records[1::2], strict=False):
            one["next"], other["previous"] = other, one
        # A list younger than the records that it refers to. The first full collection comes to the
        # records before it comes to the list, so it sorts them by who refers to them, not by age.
        # From then on, whoever goes through them finds memory in no order.
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
    """Makes that many dead objects in the oldest generation: instances, lists and dicts, in cycles
    of 2 to `largest`, scattered over the memory they take. All are in one cycle where `largest` is
    no less than their number. Returns weak references to some."""
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
