"""How much the full collections of several workers overlap, without and with `stagger`.

All worker processes want full collections most of the time. Printed is for how long some worker
ran one, and for how long several did at once.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.support import results
from bench.support.processes import command, environment, progress
from bench.support.tables import table
from bench.support.targets import NS_PER_MS


class Overlap(NamedTuple):
    collections: int
    went_ahead: int
    """Collections of these that began without the token, after too long a wait."""
    any_ns: int
    several_ns: int
    most: int
    """Collections at once, at most."""


def measure(stagger: str, workers: int, objects: int, seconds: float) -> Overlap:
    words = command("bench.concurrent.staggering_worker", stagger, objects, seconds)
    processes = [
        subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True)
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
    parser = results.parser("staggering", __doc__)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
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
