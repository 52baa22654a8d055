"""Which collector this interpreter has, and what a generation means on it.

| collector | interpreters | `gc.collect(0)`, `(1)` |
|---|---|---|
| generational | CPython ≤ 3.13, 3.14.5 and later | generation 0, generations 0 and 1 |
| incremental | CPython 3.14.0 to 3.14.4 | the young objects, one increment of the old ones |
| free-threaded | every `t` build | always a full collection |
| unknown | CPython 3.16 and later, and where `gc` is not as it should be | not known |

Under an unknown collector gcctl measures, and does nothing else by itself.
"""

from __future__ import annotations

import gc
import sys
from typing import Final, Literal

from gcctl._core.protocol import NEVER

Collector = Literal["generational", "incremental", "free-threaded", "unknown"]

NOT_KNOWN: Final = (3, 16)
"""From this version of CPython on, a generation may mean something else."""

GENERATIONS: Final = 3


def _find_out() -> Collector:
    if sys.version_info >= NOT_KNOWN:
        return "unknown"
    if "free-threading" in sys.version:
        return "free-threaded"
    # The incremental collector was in these releases only. Nothing in `gc` tells it apart from the
    # generational one for certain, unless a collection is run.
    if (3, 14, 0) <= sys.version_info[:3] <= (3, 14, 4):
        return "incremental"
    return "generational" if _has_three_generations() else "unknown"


def _has_three_generations() -> bool:
    """Whether `gc` speaks of three generations. The incremental collector keeps no threshold for
    the third: it reads 0, whatever was set."""
    known = gc.get_threshold(), gc.get_count(), gc.get_stats()
    if any(len(generations) != GENERATIONS for generations in known):
        return False
    young, middle, old = gc.get_threshold()
    if old:
        return True
    gc.set_threshold(young, middle, 1)  # no more collections than with 0
    try:
        return gc.get_threshold()[2] == 1
    finally:
        gc.set_threshold(young, middle, old)


COLLECTOR: Collector = _find_out()

OF_THE_INTERPRETER: Final = 1000 if sys.version_info[:2] == (3, 12) else 0
"""Up to this many frozen objects are the interpreter's own: CPython 3.12 starts with some
hundreds."""


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
