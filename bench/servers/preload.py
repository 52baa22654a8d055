"""What collections do to memory that workers share with their master.

A gunicorn runs with `--preload` and one worker, without and with gcctl's hooks. The private dirty
memory of the worker is read before and after full collections. Printed is by how much it has grown
per million preloaded objects.
"""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

from bench.servers.gunicorn_server import HOOKS, PLAIN, Server, memory_kib
from bench.support import results
from bench.support.processes import progress
from bench.support.tables import table

WARM_UP = 200
REQUESTS = 200
COLLECTIONS = 3
SAMPLES = 50
FULL_SECONDS = 60
"""For how long at most it waits for a full collection of the policy's own."""

FROZEN_BY_HAND = """
import gc

def pre_fork(server, worker):
    gc.collect()
    gc.freeze()
"""

MODES = {
    "automatic GC": PLAIN,
    "automatic GC, gc.freeze() before the fork": FROZEN_BY_HAND,
    "gcctl": HOOKS,
}
MOST_MIB = 1.0
"""By so much a worker may grow, per million objects."""


class Growth(NamedTuple):
    before_kib: int
    after_kib: int
    fulls: int
    """Concurrent full collections in between."""


def private_kib(pid: int) -> int:
    """The most of some samples: the child of a full collection shares the worker's private memory
    while it runs, which hides it."""
    seen = []
    for _ in range(SAMPLES):
        seen.append(memory_kib(pid, "Private_Dirty"))
        time.sleep(0.02)
    return max(seen)


def measure(config: str, objects: int) -> Growth:
    settings = {"GCCTL_GC_BUDGET": "1", "IMPATIENT": "1"} if config == HOOKS else {}
    with Server(config, 1, HEAP=str(objects), KEPT="1", **settings) as server:
        for _ in range(WARM_UP):
            server.ask("/")
        (pid,) = server.workers()
        before = private_kib(pid)
        fulls = int(server.ask("/fulls"))
        for _ in range(COLLECTIONS):
            server.ask("/collect")
        for _ in range(REQUESTS):
            server.ask("/")
        deadline = time.monotonic() + FULL_SECONDS
        # Each is a boundary that leaves no garbage: the memory that requests need is not measured.
        while settings and int(server.ask("/fulls")) == fulls and time.monotonic() < deadline:
            time.sleep(0.005)
        after = private_kib(pid)
        return Growth(before, after, int(server.ask("/fulls")) - fulls)


def main() -> None:
    arguments = results.parser("preload", __doc__).parse_args()
    objects = 200_000 if arguments.quick else 1_000_000
    rows, reached = [], True
    for name, config in MODES.items():
        progress(name)
        found = measure(config, objects)
        grown_mib = (found.after_kib - found.before_kib) / 1024
        per_million = grown_mib * 1_000_000 / objects
        rows.append(
            (
                name,
                f"{objects:,}",
                f"{found.before_kib / 1024:.1f}",
                f"{found.after_kib / 1024:.1f}",
                f"{per_million:.2f}",
                f"{COLLECTIONS} + {found.fulls}",
            )
        )
        if config == HOOKS:
            reached = per_million <= MOST_MIB
    progress("")
    head = (
        "a worker with",
        "objects",
        "before MiB",
        "after MiB",
        "MiB / million",
        "full collections",
    )
    print(f"Private dirty memory of a gunicorn worker\n{table(head, rows)}")
    if arguments.quick:
        print("not judged: requests take about 1 MiB for themselves, a large share of a small heap")
        return
    print(f"at most {MOST_MIB} MiB per million objects with gcctl: {'yes' if reached else 'NO'}")
    sys.exit(not reached)
