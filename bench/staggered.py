"""How much full collections of several workers overlap: `python bench/staggered.py [--quick]`.

Worker processes that all want full collections most of the time, without and with `stagger`.
Printed is for how long some worker ran one, and for how long several did at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tables import table
from workers import progress

NS_PER_MS = 10**6
BATCH = 1000
"""Objects that a request leaves as garbage."""


class Overlap(NamedTuple):
    collections: int
    went_ahead: int
    """Of these without the token, having waited too long."""
    any_ns: int
    several_ns: int
    most: int
    """At once."""


def serve(stagger: str, objects: int, seconds: float) -> None:
    """In a worker process: prints when its full collections began and ended."""
    import gcctl
    from gcctl._auto import debt, full_collections
    from gcctl._concurrent.coordinator import coordinator
    from gcctl._concurrent.staggering import turn

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


def measure(stagger: str, workers: int, objects: int, seconds: float) -> Overlap:
    arguments = ("--serve", stagger, str(objects), str(seconds))
    environ = {name: v for name, v in os.environ.items() if not name.startswith("GCCTL_")}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments], env=environ, stdout=subprocess.PIPE, text=True
        )
        for _ in range(workers)
    ]
    found = [json.loads(process.communicate()[0]) for process in processes]
    went_ahead = sum(row["went_ahead"] for row in found)
    return overlap([tuple(full) for row in found for full in row["fulls"]], went_ahead)


def overlap(fulls: list[tuple[int, int]], went_ahead: int) -> Overlap:
    changes = sorted(change for began, ended in fulls for change in ((began, 1), (ended, -1)))
    running = most = any_ns = several_ns = before = 0
    for at, change in changes:
        any_ns += (at - before) * (running > 0)
        several_ns += (at - before) * (running > 1)
        running += change
        most = max(most, running)
        before = at
    return Overlap(len(fulls), went_ahead, any_ns, several_ns, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small heap, two seconds")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        stagger, objects, seconds = options.serve
        serve(stagger, int(objects), float(seconds))
        return
    objects, seconds = (100_000, 2.0) if options.quick else (500_000, 20.0)
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for name, stagger in (("none", "none"), ("a lock file", str(Path(directory) / "lock"))):
            progress(f"stagger: {name}")
            found = measure(stagger, options.workers, objects, seconds)
            rows.append(
                (
                    name,
                    f"{options.workers} workers",
                    f"{found.collections:,}",
                    f"{found.any_ns / NS_PER_MS:,.0f}",
                    f"{found.several_ns / NS_PER_MS:,.0f}",
                    str(found.most),
                    str(found.went_ahead),
                )
            )
    progress("")
    head = ("stagger", "", "full collections", "any ms", "several ms", "most at once", "went ahead")
    print(f"Concurrent full collections, {objects:,} live objects each\n{table(head, rows)}")


if __name__ == "__main__":
    main()
