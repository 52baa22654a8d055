"""Makes a function of a statement: it runs the statement in a loop and times the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

COPIES = 20
"""Copies of the statement in the body of the loop: the loop itself then costs each of them a tenth
of a nanosecond."""

Timed = Callable[[int], float]


def compile_loop(statement: str, names: dict[str, Any]) -> Timed:
    """A function that runs the statement COPIES times the number it is given; seconds for all."""
    lines = [
        "def timed(loops):",
        "    started = clock()",
        "    for _ in repeat(None, loops):",
        *[f"        {statement}"] * COPIES,
        "    return clock() - started",
    ]
    namespace = {**names, "clock": time.perf_counter, "repeat": repeat}
    exec("\n".join(lines), namespace)
    timed: Timed = namespace["timed"]
    return timed
