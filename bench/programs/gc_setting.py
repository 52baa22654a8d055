"""A worker process: runs a program as python does, with another setting of its GC.

It is started as a script, and its arguments are HOW PROGRAM [ARGUMENTS ...]. HOW is

- disabled: without automatic GC, from the start of the program to its end.
- raised: with high thresholds, and with all objects frozen that there are before the program
  begins. People do this today.
- watched: as python is. At the end it prints a line of JSON: how often it collected, for how long.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import sys
import time

DISABLED = "disabled"
RAISED = "raised"
WATCHED = "watched"

THRESHOLDS = (50_000, 20, 100)


def watch() -> None:
    """Measures CPU time, which neighbours hardly change. It does not see what the interpreter
    collects when it ends."""
    clock = time.process_time_ns
    started_ns = clock()
    collections, pause_ns, began_ns = [0, 0, 0], 0, 0

    def see(phase: str, info: dict[str, int]) -> None:
        nonlocal pause_ns, began_ns
        if phase == "start":
            began_ns = clock()
        else:
            pause_ns += clock() - began_ns
            collections[info["generation"]] += 1

    def tell() -> None:
        seen = {"collections": collections, "gc_ns": pause_ns, "all_ns": clock() - started_ns}
        print(json.dumps(seen))

    gc.callbacks.append(see)
    atexit.register(tell)


def main(how: str, program: str, arguments: list[str]) -> None:
    sys.argv[:] = [program, *arguments]
    sys.path[0] = os.path.dirname(program)
    if how == DISABLED:
        gc.disable()
    elif how == RAISED:
        gc.set_threshold(*THRESHOLDS)
        gc.freeze()
    elif how == WATCHED:
        watch()
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
