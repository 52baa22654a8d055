"""What gcctl does for memory: how much comes back when memory is over its limit, how long other
threads wait meanwhile, and what `gcctl.batch()` saves.

Each case runs in a process of its own, in an order drawn anew in each round.
"""

from __future__ import annotations

import json
import random
from typing import NamedTuple

from bench.memory import tables
from bench.memory.batch_worker import AUTOMATIC, BATCH
from bench.memory.objects import KINDS
from bench.memory.stall_worker import OTHER, SAME
from bench.memory.targets import targets
from bench.support import results
from bench.support.figures import Row, medians
from bench.support.processes import progress, worker
from bench.support.subjects import CPYTHON, C
from bench.support.targets import MIB


class Size(NamedTuple):
    """How much of everything."""

    runs: int
    """Of each case."""
    returned_bytes: int
    batch_objects: int


FULL = Size(runs=5, returned_bytes=500 * MIB, batch_objects=5_000_000)
QUICK = Size(runs=1, returned_bytes=20 * MIB, batch_objects=50_000)

RETURNED = "bench.memory.returned_worker"
STALL = "bench.memory.stall_worker"
BUILDING = "bench.memory.batch_worker"


def measure(size: Size) -> dict[str, list[Row]]:
    """By part, a row for each case: the medians of its runs."""
    cases = [
        *(("returned", RETURNED, kind, size.returned_bytes) for kind in KINDS),
        *(("stalls", STALL, thread, size.returned_bytes) for thread in (OTHER, SAME)),
        *(("batch", BUILDING, how, size.batch_objects) for how in (AUTOMATIC, BATCH)),
    ]
    found: dict[tuple[str, str, str, int], list[Row]] = {case: [] for case in cases}
    for number in range(size.runs):
        progress(f"memory and batches, round {number + 1} of {size.runs}")
        for case in random.sample(cases, len(cases)):
            found[case].append(json.loads(worker(*case[1:])))
    compare_batches(*(runs for (part, *_), runs in found.items() if part == "batch"))
    rows: dict[str, list[Row]] = {part: [] for part, *_ in cases}
    for (part, *_), runs in found.items():
        rows[part].append(medians(runs))
    return rows


def compare_batches(automatic: list[Row], batch: list[Row]) -> None:
    """Add the ratios to the runs of both: each to the run with automatic GC in the same round."""
    for subject, runs in ((CPYTHON, automatic), (C, batch)):
        for run, other in zip(runs, automatic, strict=True):
            run["subject"] = subject
            run["times_faster"] = other["seconds"] / run["seconds"]
            run["times_rss"] = run["rss_bytes"] / other["rss_bytes"]


def main() -> int:
    arguments = results.parser_with_json("memory", __doc__).parse_args()
    found = measure(QUICK if arguments.quick else FULL)
    progress("")
    return results.finish(results.complete(found, targets(found)), tables.parts(found), arguments)
