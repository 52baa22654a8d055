"""A worker process: times every statement in every round, so that all of them meet the same noise.

Its arguments are FILE ROUNDS SECONDS. It writes a pyperf suite with one benchmark for each case;
value number n of each was measured in round n, in a block of about SECONDS.
"""

from __future__ import annotations

import gc
import random
import sys

import pyperf

from bench.boundary.cases import Case, cases
from bench.boundary.timed_loop import COPIES, Timed, compile_loop


def calibrate(case: Case, timed: Timed, seconds: float) -> int:
    """The number of loops that take about so long."""
    with case.ready():
        timed(10)  # lets the interpreter specialise the statement
        loops = 8
        while (took := timed(loops)) < seconds / 4:
            loops *= 2
    return max(1, round(loops * seconds / took))


def measure(rounds: int, seconds: float) -> list[list[float]]:
    """Seconds per statement, a list of rounds for each case."""
    names, all_cases = cases()
    loops = [(each, compile_loop(each.statement, names)) for each in all_cases]
    blocks = [(*pair, calibrate(*pair, seconds)) for pair in loops]
    values: list[list[float]] = [[] for _ in blocks]
    order = list(range(len(blocks)))
    for _ in range(rounds):
        random.shuffle(order)  # whoever comes first after a heavy neighbour differs each time
        for index in order:
            case, timed, count = blocks[index]
            with case.ready():
                timed(1)
                values[index].append(timed(count) / (count * COPIES))
    return values


def main(path: str, rounds: int, seconds: float) -> None:
    gc.disable()  # as it is under the policies that are measured
    measured = measure(rounds, seconds)
    metadata = {"inner_loops": COPIES}
    benchmarks = [
        pyperf.Benchmark([pyperf.Run(values, metadata={**metadata, "name": case.name})])
        for case, values in zip(cases()[1], measured, strict=True)
    ]
    pyperf.BenchmarkSuite(benchmarks).dump(path, replace=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
