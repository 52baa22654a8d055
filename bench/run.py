"""All benchmarks of gcctl in one command: `python bench/run.py [--quick] [--json FILE]`.

Measures the gcctl that is installed, each part in worker processes of its own, and prints medians,
ratios and whether the targets were reached; the exit status is 1 when one was not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import analysis
import floor
import pyperf
import tables
from candidates import candidates, demand_compiled_core

HERE = Path(__file__).resolve().parent


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


FULL = Size(10, 100, 0.0005, 1_000_000, 20, (0, 10_000, 100_000, 1_000_000))
QUICK = Size(1, 5, 0.0001, 2_000, 3, (0, 10_000))


def worker(script: str, *arguments: object) -> str:
    """What the script prints. Settings of gcctl in our environment are not to be its settings."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GCCTL_")}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench/{script} failed with status {done.returncode}")
    return done.stdout


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


def progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}" + (" ..." if what else ""), end="", file=sys.stderr, flush=True)


def measure(size: Size, pyperf_file: str | None) -> dict[str, Any]:
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
    progress("")
    measured = candidates()[1]
    values = {each.name: list(suite.get_benchmark(each.name).get_values()) for each in measured}
    rows = analysis.rows_of(measured, values)
    recorded = analysis.recording(measured, values)
    found = analysis.targets(rows, recorded, memory, accuracy)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "timings": rows,
        "recording": recorded,
        "memory": memory,
        "accuracy": accuracy,
        "targets": [{**target._asdict(), "reached": target.reached} for target in found],
    }


def show(results: dict[str, Any], *, quick: bool) -> bool:
    """Print everything; False when a target that counts was not reached."""
    targets = [
        analysis.Target(**{k: v for k, v in target.items() if k != "reached"})
        for target in results["targets"]
    ]
    print(f"CPython {results['python']} on {results['machine']}, {results['cpus']} CPUs\n")
    print(tables.timings(results["timings"]), end="\n\n")
    print(tables.recording(results["recording"]), end="\n\n")
    print(tables.memory(results["memory"]), end="\n\n")
    print(tables.accuracy(results["accuracy"]), end="\n\n")
    print(tables.targets(targets, judge_timing=not quick))
    return all(target.reached for target in targets if not (quick and target.timing))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Benchmarks of gcctl's core.")
    parser.add_argument(
        "--quick", action="store_true", help="run everything briefly and judge no timing"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results for machines too")
    parser.add_argument(
        "--pyperf", metavar="FILE", help="write the values too, for python -m pyperf compare_to"
    )
    arguments = parser.parse_args()
    demand_compiled_core()
    results = measure(QUICK if arguments.quick else FULL, arguments.pyperf)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if show(results, quick=arguments.quick) else 1


if __name__ == "__main__":
    sys.exit(main())
