"""A worker process: does the pause that gcctl reports agree with a clock around the collection?

Its arguments are REPEATS OBJECTS…: so many collections of each kind, on heaps of so many objects
more. It prints a list of rows in JSON: for each heap, each core and each kind of collection.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.boundary.cases import TWIN, started
from bench.support.subjects import C
from gcctl._core.compiled import Core as CCore
from gcctl._core.pure import Core as Twin

ABSOLUTE_NS = 2_000
RELATIVE = 0.02
"""The two agree when they are no further apart than the greater of these."""

BATCH = 200
"""Collections of generation 0 in a row: they take no time, and the core keeps as many events."""


def compare(core: Any, collect: Callable[[], object], repeats: int) -> dict[str, Any]:
    """The reported pauses against the clock around the very same collections."""
    clock = time.perf_counter_ns
    around = []
    for _ in range(repeats + 1):
        started_ns = clock()
        collect()
        around.append(clock() - started_ns)
    # The first finds the caches cold. The clock around it sees that, the one within does not.
    del around[0]
    reported = [event.pause_ns for event in core.events()[-repeats:]]
    apart = [abs(a - b) for a, b in zip(reported, around, strict=True)]
    allowed = [max(ABSOLUTE_NS, RELATIVE * pause) for pause in around]
    shares = [a / b for a, b in zip(apart, allowed, strict=True)]
    return {
        "collections": repeats,
        "pause_ns": round(statistics.median(around)),
        "median_apart_ns": round(statistics.median(apart)),
        "worst_apart_ns": max(apart),
        "median_apart_of_allowed": statistics.median(shares),
        "agreeing": sum(share <= 1 for share in shares),
    }


def boundary(context: Any) -> None:
    with context:
        pass


def kinds(core: Any) -> list[tuple[str, dict[str, int], Callable[[], object]]]:
    """The name of each kind, its schedule, and what makes a collection of it happen."""
    context = core.request()
    return [
        ("generation 0 at a boundary", {"gen0_every": 1}, lambda: boundary(context)),
        ("full, at a boundary", {"gen2_every": 1}, lambda: boundary(context)),
        ("full, gc.collect() seen", {}, gc.collect),
    ]


def main(repeats: int, sizes: list[int]) -> None:
    gc.disable()
    rows = []
    for objects in sizes:
        heap = [[number] for number in range(objects)]
        for subject, core in ((C, CCore()), (TWIN, Twin())):
            for kind, schedule, collect in kinds(core):
                young = "gen0_every" in schedule
                with started(core, **schedule):
                    row = compare(core, collect, BATCH if young else repeats)
                rows.append({"subject": subject, "collection": kind, "objects": objects, **row})
        del heap
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(size) for size in sys.argv[2:]])
