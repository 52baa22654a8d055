"""Which collector this interpreter has, and what a generation means on it.

| collector | interpreters | `gc.collect(0)`, `(1)` |
|---|---|---|
| generational | CPython ≤ 3.13, 3.14.5 and later | generation 0, generations 0 and 1 |
| incremental | CPython 3.14.0 to 3.14.4 | the young objects, one increment of the old ones |
| free-threaded | every `t` build | always a full collection |
"""

from __future__ import annotations

import sys
from typing import Literal

from gcctl._core.protocol import NEVER

Collector = Literal["generational", "incremental", "free-threaded"]


def _find_out() -> Collector:
    if "free-threading" in sys.version:
        return "free-threaded"
    # The incremental collector was in these releases only. Nothing in `gc` tells it apart from the
    # generational one, unless a collection is run.
    if (3, 14, 0) <= sys.version_info[:3] <= (3, 14, 4):
        return "incremental"
    return "generational"


COLLECTOR: Collector = _find_out()


def schedule_for(
    every: tuple[int, int, int], collector: Collector = COLLECTOR
) -> tuple[int, int, int]:
    """The schedule, in requests per collection of each generation, that this collector can keep.

    On a free-threaded build every collection is a full one. A young collection at each request
    would then be a pause for the whole heap at each request. So only the schedule of full
    collections is kept.
    """
    if collector == "free-threaded":
        return NEVER, NEVER, every[2]
    return every
