"""A worker process: what a request leaves behind, and how often it asks the allocator for memory.

Its argument is BOUNDARIES. It prints a list of rows in JSON.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import psutil

from bench.boundary import compiled_floors
from bench.boundary.cases import Case, cases
from bench.boundary.timed_loop import COPIES, compile_loop

GROUPS = ("idle", "tick", "due")


def footprint(case: Case, names: dict[str, Any], boundaries: int) -> dict[str, Any]:
    work = compile_loop(case.statement, names)
    loops = boundaries // COPIES
    allocations = compiled_floors.load().allocations
    rss = psutil.Process().memory_info
    with case.ready():
        work(100)
        blocks, resident, tracked = sys.getallocatedblocks(), rss().rss, gc.get_count()[0]
        work(loops)
        blocks = sys.getallocatedblocks() - blocks
        tracked = gc.get_count()[0] - tracked
        resident = rss().rss - resident
        # The call of the loop asks for memory too, once, however long it runs.
        asked = allocations(work, loops) - allocations(work, 0)
    return {
        "group": case.group,
        "subject": case.subject,
        "statement": case.statement,
        "boundaries": loops * COPIES,
        "allocations_per_boundary": asked / (loops * COPIES),
        "blocks": blocks,
        "tracked": tracked,
        "rss_bytes": resident,
    }


def main(boundaries: int) -> None:
    gc.disable()
    names, all_cases = cases()
    rows = [footprint(each, names, boundaries) for each in all_cases if each.group in GROUPS]
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
