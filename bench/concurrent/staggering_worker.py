"""A worker process that wants full collections most of the time.

Its arguments are STAGGER OBJECTS SECONDS. It prints in JSON when its full collections began and
ended.
"""

from __future__ import annotations

import json
import sys
import time

import gcctl
from gcctl._auto import debt, full_collections
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import turn

BATCH = 1000
"""Objects that a request leaves as garbage."""


def main(stagger: str, objects: int, seconds: float) -> None:
    debt.SHORTEST_NS = {1: 0, 2: 0}  # type: ignore[misc]
    full_collections.ROUTINE_NS = full_collections.QUIET_NS = 0  # type: ignore[misc]
    heap = [{"a": [number]} for number in range(objects // 2)]
    gcctl.install(check_interval="1ms", gc_budget=1.0, stagger=stagger)
    fulls: list[tuple[int, int]] = []
    began = ended = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with gcctl.request():
            batch: list[object] = [[] for _ in range(BATCH)]
            batch.append(batch)
        now = time.monotonic_ns()
        if coordinator.running is not None:
            began, ended = began or now, now
        elif began:
            fulls.append((began, ended))
            began = 0
        time.sleep(0.0005)
    json.dump({"fulls": fulls, "went_ahead": turn.went_ahead, "heap": len(heap)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
