"""A worker process, which runs under valgrind: each statement in two counted calls.

Its argument is LOOPS. The first call runs no loop, the second one LOOPS.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from bench.boundary import compiled_floors
from bench.boundary.cases import Case, cases
from bench.boundary.timed_loop import compile_loop

WARM_UP = 10
"""Loops before those that count, so that the interpreter has specialised the statement."""

GROUPS = ("idle", "tick", "due", "seen")
"""Not the checks of memory: most of one is in the kernel, of which valgrind sees nothing."""


def counted_cases() -> tuple[dict[str, Any], list[Case]]:
    """The names of all statements, and the cases in the order in which they are counted."""
    names, all_cases = cases()
    return names, [case for case in all_cases if case.group in GROUPS]


def main(loops: int) -> None:
    gc.disable()
    names, measured = counted_cases()
    counted = compiled_floors.load().counted
    for case in measured:
        timed = compile_loop(case.statement, names)
        with case.ready():
            timed(WARM_UP)
            counted(timed, 0)
            counted(timed, loops)


if __name__ == "__main__":
    main(int(sys.argv[1]))
