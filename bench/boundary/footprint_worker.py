"""One worker process: what a request leaves behind and what it asks of the allocator.

`python bench/memory.py BOUNDARIES` prints a list of rows in JSON.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import floor
import psutil
from candidates import Candidate, candidates
from loop import COPIES, compile_loop

GROUPS = ("idle", "tick", "due")


def footprint(candidate: Candidate, names: dict[str, Any], boundaries: int) -> dict[str, Any]:
    work = compile_loop(candidate.statement, names)
    loops = boundaries // COPIES
    allocations = floor.load().allocations
    rss = psutil.Process().memory_info
    with candidate.ready():
        work(100)
        blocks, resident, tracked = sys.getallocatedblocks(), rss().rss, gc.get_count()[0]
        work(loops)
        blocks = sys.getallocatedblocks() - blocks
        tracked = gc.get_count()[0] - tracked
        resident = rss().rss - resident
        # The call of the loop asks for memory too, once, however long it runs.
        asked = allocations(work, loops) - allocations(work, 0)
    return {
        "group": candidate.group,
        "subject": candidate.subject,
        "statement": candidate.statement,
        "boundaries": loops * COPIES,
        "allocations_per_boundary": asked / (loops * COPIES),
        "blocks": blocks,
        "tracked": tracked,
        "rss_bytes": resident,
    }


def main(boundaries: int) -> None:
    gc.disable()
    names, all_of_them = candidates()
    rows = [footprint(each, names, boundaries) for each in all_of_them if each.group in GROUPS]
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
