"""A worker process: calls gc.collect() in a loop.

Its arguments are MODE OBJECTS CALLS; MODE is plain, or a policy. It prints the median time of a
call in nanoseconds.
"""

from __future__ import annotations

import gc
import logging
import statistics
import sys
import time


def main(mode: str, objects: int, calls: int) -> None:
    logging.disable()  # of long pauses, which are what is measured
    heap = [{"key": [number]} for number in range(objects // 2)]
    if mode != "plain":
        import gcctl

        gcctl.install(mode)
    times = []
    for _ in range(calls):
        before = time.perf_counter_ns()
        gc.collect()
        times.append(time.perf_counter_ns() - before)
    print(statistics.median(times))
    del heap


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
