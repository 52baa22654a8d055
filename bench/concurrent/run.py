"""Concurrent full collections against `gc.collect()`: `python bench/concurrently.py [--quick]`.

Measures the gcctl that is installed, each case in a worker process of its own, and prints medians,
ratios and whether the targets were reached; the exit status is 1 when one was not.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import NamedTuple

import concurrent_tables
import results
from analysis import Row
from candidates import demand_compiled_core
from heaps import AGED, BYTES_PER_OBJECT, FRESH
from targets import JUDGED_DEAD, JUDGED_LARGEST, JUDGED_OBJECTS, MIB, concurrent
from window import SAME, SPARE
from workers import progress, worker

from gcctl._memory.cgroup import MemoryGroups
from gcctl._memory.limits import available_bytes

DEAD = 40_000
SMALL = 4
"""Objects in a cycle of the garbage in each heap, at most."""


class Size(NamedTuple):
    """How much of everything."""

    live: tuple[int, ...]
    rounds: int
    window_seconds: int
    """How long a service is watched until the child answers, at most."""

    @property
    def dead(self) -> int:
        return min(max(self.live), JUDGED_DEAD)

    @property
    def served(self) -> int:
        return min(max(self.live), JUDGED_OBJECTS)


FULL = Size(
    live=(100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000),
    rounds=5,
    window_seconds=30,
)
QUICK = Size(live=(100_000,), rounds=1, window_seconds=1)


def measure(size: Size) -> dict[str, list[Row]]:
    """The rows of each part."""
    return {
        "heaps": [
            stops(kind, live, DEAD, SMALL, size.rounds)
            for live in size.live
            for kind in (FRESH, AGED)
        ],
        "garbage": [
            stops(FRESH, size.dead, size.dead, largest, size.rounds)
            for largest in (JUDGED_LARGEST, size.dead)
        ],
        "service": [serve(where, size) for where in (SPARE, SAME)],
    }


def stops(kind: str, live: int, dead: int, largest: int, rounds: int) -> Row:
    progress(f"{live:,} live objects, {kind}, and {dead:,} dead in cycles of up to {largest:,}")
    why = no_room(live + dead)
    if why:
        return {"kind": kind, "objects": live, "skipped": why}
    row: Row = json.loads(worker("stops.py", kind, live, dead, largest, rounds))
    return row


def serve(where: str, size: Size) -> Row:
    live = size.served
    progress(f"a service with {live:,} live objects, {where}")
    why = no_room(live)
    if why:
        return {"where": where, "objects": live, "skipped": why}
    row: Row = json.loads(worker("window.py", where, live, size.rounds, size.window_seconds))
    return row


def no_room(objects: int) -> str:
    """Why so many are too many, if they are."""
    needed, available = objects * BYTES_PER_OBJECT, available_bytes(MemoryGroups())
    if needed <= available:
        return ""
    return f"needs {needed // MIB:,} MiB of memory, {available // MIB:,} MiB are available"


def number(text: str) -> int:
    """Of objects, from text such as 0.1M or 20000."""
    value = round(float(text.removesuffix("M")) * (1e6 if text.endswith("M") else 1))
    if value < 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted at least 1000 objects, such as 0.1M")
    return value


def main() -> int:
    parser = results.parser("concurrently.py", __doc__)
    parser.add_argument(
        "--live", nargs="+", type=number, metavar="N", help="live objects of the heaps, as in 2M"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="of each case")
    arguments = parser.parse_args()
    demand_compiled_core()
    size = QUICK if arguments.quick else FULL
    size = size._replace(
        live=tuple(arguments.live or size.live), rounds=arguments.rounds or size.rounds
    )
    found = measure(size)
    progress("")
    parts = concurrent_tables.parts(found)
    return results.finish(results.complete(found, concurrent(found)), parts, arguments)


if __name__ == "__main__":
    sys.exit(main())
