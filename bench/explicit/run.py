"""How long gc.collect() takes with gcctl installed, against python alone.

Processes of each kind take turns. Each calls gc.collect() in a loop. Shown is the median over the
processes of the median call.
"""

from __future__ import annotations

import statistics
import sys

from bench.support import results, tables
from bench.support.processes import progress, worker
from bench.support.targets import Target

OBJECTS = (1_000, 10_000, 100_000, 1_000_000)
MODES = ("plain", "auto", "off")
ROUNDS = 9
LARGE = 100_000
MOST_TIMES = 1.05
"""From `LARGE` objects on, a call may take so many times what it takes python alone."""

MOST_MORE_US = 100
"""Below that, it may take so much longer."""


def measure(objects: int, rounds: int) -> dict[str, float]:
    """Nanoseconds of a call, for each mode."""
    calls = max(5, min(200, 5_000_000 // objects))
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        progress(f"{objects:,} objects, round {number + 1} of {rounds}")
        for mode in MODES if number % 2 else MODES[::-1]:
            found[mode].append(float(worker("bench.explicit.worker", mode, objects, calls)))
    return {mode: statistics.median(times) for mode, times in found.items()}


def main() -> None:
    arguments = results.parser_with_json("explicit", __doc__).parse_args()
    rounds = 1 if arguments.quick else ROUNDS
    measured = {objects: measure(objects, rounds) for objects in OBJECTS}
    progress("")
    rows, targets = [], []
    for objects, times in measured.items():
        plain = times["plain"]
        for mode in MODES[1:]:
            name = f"gc.collect() with {objects:,} objects, under {mode}"
            if objects >= LARGE:
                targets.append(Target(name, times[mode] / plain, MOST_TIMES, "x"))
            else:
                more_us = (times[mode] - plain) / 1e3
                targets.append(Target(name, more_us, MOST_MORE_US, "us more"))
        rows.append((f"{objects:,}", "", *(f"{times[mode] / 1e6:,.3f}" for mode in MODES)))
    head = ("objects", "", *(f"{mode} ms" for mode in MODES))
    text = f"A call of gc.collect()\n{tables.table(head, rows)}"
    as_json = {"milliseconds": {str(key): value for key, value in measured.items()}}
    sys.exit(results.finish(results.complete(as_json, targets), [text], arguments))
