"""A worker process: builds many container objects, with automatic GC or within a batch.

Its arguments are HOW OBJECTS, where HOW is automatic or batch. It prints a row in JSON.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext

import psutil

import gcctl

AUTOMATIC = "automatic"
BATCH = "batch"


def main(how: str, objects: int) -> None:
    if how == BATCH:
        gcctl.install("off")
    started = time.perf_counter()
    with gcctl.batch() if how == BATCH else nullcontext():  # it collects at its end
        built = [[number] for number in range(objects)]
    seconds = time.perf_counter() - started
    rss = psutil.Process().memory_info().rss
    json.dump({"objects": len(built), "seconds": seconds, "rss_bytes": rss}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
