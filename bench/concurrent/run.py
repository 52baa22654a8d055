"""Concurrent full collections against `gc.collect()`: how long they stop the process, and what they
cost it.

Each case runs in a worker process of its own. Printed are medians, ratios and whether the targets
were reached; the exit status is 1 when one was not.
"""

from __future__ import annotations

import argparse
import json
from typing import NamedTuple

from bench.concurrent import tables
from bench.concurrent.latency_worker import SAME, SPARE
from bench.concurrent.targets import JUDGED_DEAD, JUDGED_LARGEST, JUDGED_OBJECTS, targets
from bench.installed import demand_compiled_core
from bench.support import results
from bench.support.figures import Row
from bench.support.heaps import AGED, BYTES_PER_OBJECT, FRESH
from bench.support.processes import progress, worker
from bench.support.targets import MIB
from gcctl._memory.cgroup import MemoryGroups
from gcctl._memory.limits import available_bytes

DEAD = 40_000
SMALL = 4
"""Cycles of the garbage in each heap have at most so many objects."""


class Size(NamedTuple):
    """How much of everything."""

    live: tuple[int, ...]
    rounds: int
    window_seconds: int
    """For how long a service is watched at most, until the child answers."""

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
    row: Row = json.loads(
        worker("bench.concurrent.stops_worker", kind, live, dead, largest, rounds)
    )
    return row


def serve(where: str, size: Size) -> Row:
    live = size.served
    progress(f"a service with {live:,} live objects, {where}")
    why = no_room(live)
    if why:
        return {"where": where, "objects": live, "skipped": why}
    arguments = (where, live, size.rounds, size.window_seconds)
    row: Row = json.loads(worker("bench.concurrent.latency_worker", *arguments))
    return row


def no_room(objects: int) -> str:
    """Why there is no memory for so many objects; "": there is."""
    needed, available = objects * BYTES_PER_OBJECT, available_bytes(MemoryGroups())
    if needed <= available:
        return ""
    return f"needs {needed // MIB:,} MiB of memory, {available // MIB:,} MiB are available"


def number(text: str) -> int:
    """A number of objects, from text such as 0.1M or 20000."""
    value = round(float(text.removesuffix("M")) * (1e6 if text.endswith("M") else 1))
    if value < 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted at least 1000 objects, such as 0.1M")
    return value


def main() -> int:
    parser = results.parser_with_json("concurrent", __doc__)
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
    return results.finish(results.complete(found, targets(found)), tables.parts(found), arguments)
