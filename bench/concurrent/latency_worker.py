"""A worker process: how long requests take while a concurrent full collection looks for garbage.

Its arguments are CORES OBJECTS ROUNDS SECONDS. It prints a row in JSON. Requests come at even
intervals, at half of what the service can do. Latency counts from when a request was due: then a
delay of one request delays the next ones too. It is also given from when the request was begun.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import gcctl
from bench.support.figures import Row, percentile
from bench.support.heaps import AGED, Record, live

SPARE = "a core to spare"
SAME = "on the child's core"

REQUEST_NS = 1_000_000
LOAD = 0.5
LOOKUPS = 20
UPDATES = 5
"""Live objects that a request reads, and how many of these it writes to; drawn evenly."""

LINES = 40
CALIBRATION = 200
"""Requests, of one line and of LINES, that tell how many lines take REQUEST_NS."""

QUIET_NS = 1_000_000_000
"""Requests with no collection running are timed for so long, or as long as a window if longer."""


class Served(NamedTuple):
    """Latencies of requests, since they were due and since they were begun."""

    due_ns: list[int]
    begun_ns: list[int]
    cpu_ns: float
    """CPU time of the thread per request, with all that is around the request."""


class Service:
    """A service: its requests, and when they come."""

    def __init__(self, records: list[Record]) -> None:
        self._records = records
        self._random = random.Random(2)
        self._lines = 1
        least_ns = self._typical_ns()
        self._lines = LINES
        per_line_ns = max((self._typical_ns() - least_ns) / (LINES - 1), 1)
        self._lines = max(1, round((REQUEST_NS - least_ns) / per_line_ns))
        self.request_ns = self._typical_ns()
        self._interval_ns = round(self.request_ns / LOAD)

    def serve(self, is_over: Callable[[], bool]) -> Served:
        """Answers requests until then."""
        clock = time.perf_counter_ns
        served = Served([], [], 0)
        cpu_ns = time.thread_time_ns()
        due = clock()
        while not served.due_ns or not is_over():
            due += self._interval_ns
            early = due - clock()
            if early > 0:
                time.sleep(early / 1e9)
            begun = clock()
            with gcctl.request():
                self._answer()
            end = clock()
            served.due_ns.append(end - due)
            served.begun_ns.append(end - begun)
        return served._replace(cpu_ns=(time.thread_time_ns() - cpu_ns) / len(served.due_ns))

    def _typical_ns(self) -> float:
        """CPU time of a request, which neighbours hardly change."""
        took = []
        for _ in range(CALIBRATION):
            began = time.thread_time_ns()
            self._answer()
            took.append(time.thread_time_ns() - began)
        return statistics.median(took)

    def _answer(self) -> str:
        """A request: it reads records and writes to some, makes a document of them, reads it again
        and adds it up."""
        records, place = self._records, self._random.randrange
        chosen = [records[place(len(records))] for _ in range(LOOKUPS)]
        for record in chosen[:UPDATES]:
            record["a"][0] += 1
        lines = [
            {
                "id": chosen[number % LOOKUPS]["a"][0],
                "title": f"record {number} of {self._lines}",
                "tags": ["live", str(number % 7)],
                "price": number * 0.25,
            }
            for number in range(self._lines)
        ]
        totals: dict[str, float] = {}
        for line in json.loads(json.dumps({"lines": lines}))["lines"]:
            tag = line["tags"][1].upper()
            totals[tag] = totals.get(tag, 0.0) + line["price"]
        return ",".join(f"{tag}={total:.2f}" for tag, total in sorted(totals.items()))


def page_faults() -> int:
    import resource  # late: Windows does not have it, and no concurrent collections either

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def quiet(service: Service, for_ns: int) -> Served:
    """Requests with no collection running."""
    # Before a window too: it touches every object, and so undoes what a window left.
    gc.collect()
    end = time.perf_counter_ns() + max(for_ns, QUIET_NS)
    return service.serve(lambda: time.perf_counter_ns() >= end)


def window(
    service: Service, core: list[int], of_child: list[int], most_ns: int
) -> tuple[Served, Row]:
    """Requests from the start of a collection to the child's answer, but for no longer than
    `most_ns`; and a row of what it came to. `copied_bytes` are those of the pages that the service
    wrote to for the first time meanwhile."""
    gc.collect()
    os.sched_setaffinity(0, of_child)  # the child gets it from us
    handle = gcctl.collect_concurrently()
    os.sched_setaffinity(0, core)
    before, began = page_faults(), time.perf_counter_ns()
    served = service.serve(lambda: handle.ready or time.perf_counter_ns() > began + most_ns)
    window_ns = time.perf_counter_ns() - began
    copied_bytes = (page_faults() - before) * os.sysconf("SC_PAGESIZE")
    handle.finish()
    if handle.outcome != "collected":
        return served, {"skipped": handle.outcome}
    run = handle.measured
    return served, {
        "requests": len(served.due_ns),
        "window_ns": window_ns,
        "answer_ns": run.answer_ns,
        "child_cpu_ns": run.child_cpu_ns,
        "copied_bytes": copied_bytes,
    }


def compare(busy: Served, alone: Served) -> Row:
    row = {"times_cpu": busy.cpu_ns / alone.cpu_ns}
    pairs = {"due": (busy.due_ns, alone.due_ns), "begun": (busy.begun_ns, alone.begun_ns)}
    for since, (of_busy, of_alone) in pairs.items():
        for percent in (50, 99):
            window_ns, quiet_ns = percentile(of_busy, percent), percentile(of_alone, percent)
            name = f"p{percent}_{since}"
            row |= {f"{name}_quiet_ns": quiet_ns, f"{name}_window_ns": window_ns}
            row[f"times_{name}"] = window_ns / quiet_ns
    return row


def measure(where: str, objects: int, rounds: int, most_ns: int) -> Row:
    if not hasattr(os, "sched_setaffinity"):
        return {"skipped": "no processor affinity here"}
    cores = sorted(os.sched_getaffinity(0))[:2]
    if where == SPARE and len(cores) < 2:
        return {"skipped": "there is one core only"}
    core = cores[:1]
    of_child = cores if where == SPARE else core
    os.sched_setaffinity(0, core)
    records = live(AGED, objects)
    measured: list[Row] = []
    with gcctl.install("off", monitoring=False):
        service = Service(records)
        for _ in range(rounds):
            busy, row = window(service, core, of_child, most_ns)
            if "skipped" in row:
                return row
            alone = quiet(service, row["window_ns"])
            measured.append({**row, **compare(busy, alone)})
    medians = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
    return {"request_ns": service.request_ns, **medians}


def main(where: str, objects: int, rounds: int, seconds: int) -> None:
    logging.getLogger("gcctl").addHandler(logging.NullHandler())
    gc.disable()
    row = {"where": where, "objects": objects, "rounds": rounds}
    json.dump({**row, **measure(where, objects, rounds, seconds * 10**9)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
