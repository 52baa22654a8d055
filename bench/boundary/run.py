"""What gcctl costs at a boundary, for a recorded pause and for a check of memory; and all else that
is quick to measure: memory given back, batches, with `--soak` a simulated day.

A `--quick` run has a brief run of concurrent collections too. Each part runs in worker processes of
its own. Printed are medians, ratios and whether the targets were reached; the exit status is 1 when
one was not.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pyperf

from bench.boundary import analysis, compiled_floors, tables
from bench.boundary.cases import cases
from bench.boundary.targets import targets
from bench.concurrent import run as concurrent
from bench.concurrent import tables as concurrent_tables
from bench.concurrent.targets import targets as concurrent_targets
from bench.installed import demand_compiled_core
from bench.memory import run as memory
from bench.memory import tables as memory_tables
from bench.memory.targets import targets as memory_targets
from bench.soak import day
from bench.soak import tables as soak_tables
from bench.soak.targets import targets as soak_targets
from bench.support import results
from bench.support.processes import progress, worker
from bench.support.targets import Target


class Size(NamedTuple):
    """How much of everything."""

    workers: int
    """Processes that time the statements, one after the other: where the memory of a process lies
    makes a difference of some percent, which their median evens out."""
    rounds: int
    block_seconds: float
    boundaries: int
    repeats: int
    heaps: tuple[int, ...]
    memory: memory.Size
    soak_boundaries: int
    concurrent: concurrent.Size | None
    """None: the benchmark `concurrent` measures it."""


FULL = Size(
    workers=10,
    rounds=100,
    block_seconds=0.0005,
    boundaries=1_000_000,
    repeats=20,
    heaps=(0, 10_000, 100_000, 1_000_000),
    memory=memory.FULL,
    soak_boundaries=day.FULL,
    concurrent=None,
)
QUICK = Size(
    workers=1,
    rounds=5,
    block_seconds=0.0001,
    boundaries=2_000,
    repeats=3,
    heaps=(0, 10_000),
    memory=memory.QUICK,
    soak_boundaries=day.QUICK,
    concurrent=concurrent.QUICK,
)


def time_statements(size: Size) -> pyperf.BenchmarkSuite:
    """One benchmark per case, with a pyperf run for each worker."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.json"
        suite = None
        for number in range(size.workers):
            progress(f"timing, process {number + 1} of {size.workers}")
            path.unlink(missing_ok=True)
            worker("bench.boundary.timing_worker", path, size.rounds, size.block_seconds)
            measured = pyperf.BenchmarkSuite.load(str(path))
            if suite is None:
                suite = measured
            else:
                suite.add_runs(measured)
    return suite


def measure(size: Size, pyperf_file: str | None, soak: bool) -> dict[str, Any]:
    """Every result, as `--json` writes it."""
    progress("compiling the floors")
    compiled_floors.build()
    suite = time_statements(size)
    if pyperf_file:
        suite.dump(pyperf_file, replace=True)
    progress("memory")
    footprints = json.loads(worker("bench.boundary.footprint_worker", size.boundaries))
    progress("reported pauses")
    accuracy = json.loads(worker("bench.boundary.accuracy_worker", size.repeats, *size.heaps))
    of_memory = memory.measure(size.memory)
    of_day = day.measure(size.soak_boundaries) if soak else None
    of_concurrent = concurrent.measure(size.concurrent) if size.concurrent else None
    progress("")
    measured = cases()[1]
    values = {each.name: list(suite.get_benchmark(each.name).get_values()) for each in measured}
    found = {
        "timings": analysis.rows_of(measured, values),
        "recording": analysis.recording(measured, values),
        "monitoring": analysis.monitoring(measured, values),
        "memory": footprints,
        "accuracy": accuracy,
        **of_memory,
        "soak": of_day,
        "concurrent": of_concurrent,
    }
    return results.complete(found, judged(found))


def judged(found: dict[str, Any]) -> list[Target]:
    """The targets of every part that was measured."""
    return [
        *targets(found),
        *memory_targets(found),
        *soak_targets(found["soak"]),
        *concurrent_targets(found["concurrent"]),
    ]


def parts(found: dict[str, Any]) -> list[str]:
    """Every table."""
    return [
        *tables.parts(found),
        *memory_tables.parts(found),
        soak_tables.day(found["soak"]),
        *concurrent_tables.parts(found["concurrent"]),
    ]


def main() -> int:
    parser = results.parser_with_json("boundary", __doc__)
    parser.add_argument(
        "--soak",
        action="store_true",
        help="a simulated day too (--quick has one, briefly)",
    )
    parser.add_argument(
        "--pyperf", metavar="FILE", help="write the values too, for python -m pyperf compare_to"
    )
    arguments = parser.parse_args()
    demand_compiled_core()
    size = QUICK if arguments.quick else FULL
    found = measure(size, arguments.pyperf, soak=arguments.soak or arguments.quick)
    return results.finish(found, parts(found), arguments)
