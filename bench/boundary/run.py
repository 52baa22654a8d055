"""The benchmarks of gcctl in one command: `python bench/run.py [--quick] [--json FILE]`.

Those of concurrent collections, which take longer, are in `bench/concurrently.py`; a `--quick` run
has both, briefly. Those of whole programs are in `bench/scripts.py`.

Measures the gcctl that is installed, each part in worker processes of its own, and prints medians,
ratios and whether the targets were reached; the exit status is 1 when one was not.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import analysis
import concurrent_tables
import concurrently
import floor
import pyperf
import results
import tables
from batch import AUTOMATIC, BATCH
from candidates import candidates, demand_compiled_core
from returned import KINDS
from stall import OTHER, SAME
from targets import MIB, targets
from workers import progress, worker


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
    runs: int
    """Of what needs a process for each measurement."""
    returned_bytes: int
    batch_objects: int
    soak_boundaries: int
    concurrent: concurrently.Size | None
    """None: measured by `python bench/concurrently.py`."""


FULL = Size(
    workers=10,
    rounds=100,
    block_seconds=0.0005,
    boundaries=1_000_000,
    repeats=20,
    heaps=(0, 10_000, 100_000, 1_000_000),
    runs=5,
    returned_bytes=500 * MIB,
    batch_objects=5_000_000,
    soak_boundaries=10_000_000,
    concurrent=None,
)
QUICK = Size(
    workers=1,
    rounds=5,
    block_seconds=0.0001,
    boundaries=2_000,
    repeats=3,
    heaps=(0, 10_000),
    runs=1,
    returned_bytes=20 * MIB,
    batch_objects=50_000,
    soak_boundaries=200_000,
    concurrent=concurrently.QUICK,
)


def time_statements(size: Size) -> pyperf.BenchmarkSuite:
    """One benchmark per candidate, with a pyperf run for each worker."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.json"
        suite = None
        for number in range(size.workers):
            progress(f"timing, process {number + 1} of {size.workers}")
            path.unlink(missing_ok=True)
            worker("rounds.py", path, size.rounds, size.block_seconds)
            measured = pyperf.BenchmarkSuite.load(str(path))
            if suite is None:
                suite = measured
            else:
                suite.add_runs(measured)
    return suite


def time_processes(size: Size) -> dict[str, list[analysis.Row]]:
    """What can be measured once in a process only: by part, a row for each case, of the medians."""
    cases = [
        *(("returned", "returned.py", kind, size.returned_bytes) for kind in KINDS),
        *(("stalls", "stall.py", thread, size.returned_bytes) for thread in (OTHER, SAME)),
        *(("batch", "batch.py", how, size.batch_objects) for how in (AUTOMATIC, BATCH)),
    ]
    found: dict[tuple[str, str, str, int], list[analysis.Row]] = {case: [] for case in cases}
    for number in range(size.runs):
        progress(f"memory and batches, round {number + 1} of {size.runs}")
        for case in random.sample(cases, len(cases)):
            found[case].append(json.loads(worker(*case[1:])))
    analysis.compare_batches(*(runs for (part, *_), runs in found.items() if part == "batch"))
    rows: dict[str, list[analysis.Row]] = {part: [] for part, *_ in cases}
    for (part, *_), runs in found.items():
        rows[part].append(analysis.medians(runs))
    return rows


def measure(size: Size, pyperf_file: str | None, soak: bool) -> dict[str, Any]:
    """Every result, as `--json` writes it."""
    progress("compiling the floors")
    floor.build()
    suite = time_statements(size)
    if pyperf_file:
        suite.dump(pyperf_file, replace=True)
    progress("memory")
    memory = json.loads(worker("memory.py", size.boundaries))
    progress("reported pauses")
    accuracy = json.loads(worker("accuracy.py", size.repeats, *size.heaps))
    processes = time_processes(size)
    progress("a simulated day")
    day = json.loads(worker("soak.py", size.soak_boundaries)) if soak else None
    concurrent = concurrently.measure(size.concurrent) if size.concurrent else None
    progress("")
    measured = candidates()[1]
    values = {each.name: list(suite.get_benchmark(each.name).get_values()) for each in measured}
    found = {
        "timings": analysis.rows_of(measured, values),
        "recording": analysis.recording(measured, values),
        "monitoring": analysis.monitoring(measured, values),
        "memory": memory,
        "accuracy": accuracy,
        **processes,
        "soak": day,
        "concurrent": concurrent,
    }
    return results.complete(found, targets(found))


def parts(found: dict[str, Any]) -> list[str]:
    """Every table."""
    return [
        tables.timings(found["timings"]),
        tables.differences("Measuring and recording one pause, on top", found["recording"]),
        tables.differences("Monitoring, on top", found["monitoring"]),
        tables.memory(found["memory"]),
        tables.accuracy(found["accuracy"]),
        tables.returned(found["returned"]),
        tables.stalls(found["stalls"]),
        tables.batch(found["batch"]),
        tables.soak(found["soak"]),
        *concurrent_tables.parts(found["concurrent"]),
    ]


def main() -> int:
    parser = results.parser("run.py", "Benchmarks of gcctl's core.")
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


if __name__ == "__main__":
    sys.exit(main())
