"""One worker process: how much memory comes back when memory was over its limit.

`python bench/returned.py KIND BYTES` builds that much of small objects, drops them, has
`gcctl.check_memory()` find memory over the limit, and prints a row in JSON.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import gcctl
from gcctl._process import twins

CHUNK = 1000
"""Objects between two looks at memory."""


def cycle(number: int) -> object:
    """Of 64 to 376 bytes: from pymalloc. Only a collection frees it."""
    items: list[Any] = [None] * (1 + number % 40)
    items[0] = items
    return items


def block(number: int) -> object:
    """Of 600 to 2000 bytes: from malloc."""
    return bytearray(600 + number % 1400)


KINDS: dict[str, Callable[[int], object]] = {
    "cycles of up to 376 bytes": cycle,
    "objects of 600 to 2000 bytes": block,
}


def build(make: Callable[[int], object], size_bytes: int) -> list[object]:
    """Objects until the process has grown so much."""
    enough = twins.memory.rss() + size_bytes
    objects: list[object] = []
    while twins.memory.rss() < enough:
        objects += map(make, range(len(objects), len(objects) + CHUNK))
    return objects


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
