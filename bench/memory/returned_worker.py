"""A worker process: how much memory comes back when memory was over its limit.

Its arguments are KIND BYTES. It builds that much of small objects and drops them. Then
`gcctl.check_memory()` finds memory over the limit. It prints a row in JSON.
"""

from __future__ import annotations

import gc
import json
import logging
import sys

import gcctl
from bench.memory.objects import KINDS, build
from gcctl._process import twins


def main(kind: str, size_bytes: int) -> None:
    logging.getLogger("gcctl").addHandler(logging.NullHandler())
    gc.disable()
    rss = twins.memory.rss
    start = rss()
    with gcctl.install("off", memory_limit=start + size_bytes // 4) as controller:
        objects = build(KINDS[kind], size_bytes)
        full = rss()
        # Something always outlives a request. This keeps malloc from giving all back by itself.
        survivor = objects.pop()
        del objects
        dropped = rss()
        gcctl.check_memory()
        after = rss()
        (event,) = controller.stats().memory_events
        del survivor
    row = {
        "kind": kind,
        "bytes": full - start,
        "dropping_share": (full - dropped) / (full - start),
        "returned_share": (full - after) / (full - start),
        "took_ns": event.took_ns,
    }
    json.dump(row, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
