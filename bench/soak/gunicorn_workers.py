"""A million requests to `gunicorn --preload` with four workers: does one fail, does anything grow?

Prints a row in JSON. The exit status is 1 where a request failed or memory grew. It ends after
`--requests` or `--seconds`, whichever comes first. With `--kill-every` a worker is ended by SIGKILL
now and then; the requests that it was answering are lost, and counted apart. With `--wrk` that
program asks, which leaves more of the machine to the server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import Any

from bench.servers.gunicorn_server import HOOKS, HOST, Server, memory_kib
from bench.support import results
from bench.support.figures import ends
from bench.support.processes import progress

WARM_UP = 1 / 3
"""The share of the samples that is not judged. Meanwhile workers fill their 20,000 sessions and
replace all of them a few times, until there is as much garbage as a full collection waits for."""

REQUESTS = 1_000_000
QUICK_REQUESTS = 2_000

SAMPLE_SECONDS = 1.0
WRK_SECONDS = 10
"""Of each run of wrk. It drops the requests that are not answered by then."""
GROWTH = 0.02
SLACK_KIB = 2048
"""By so much a worker may be larger at the end: a share, and KiB on top."""


class Soak:
    def __init__(self, server: Server, options: argparse.Namespace) -> None:
        self._server = server
        self._options = options
        self._lock = threading.Lock()
        self._kill_at = time.monotonic() + (options.kill_every or float("inf"))
        self.begun = time.monotonic()
        self.asked = 0
        self.failed = 0
        self.lost = 0
        """Requests that a worker may have been answering when it was killed."""
        self.killed = 0
        self._killed_at = -1e9
        self.rss_kib: list[int] = []
        """The mean of the workers at each sample."""
        self.dirty_kib: list[int] = []
        self.errors: set[str] = set()

    @property
    def is_over(self) -> bool:
        late = time.monotonic() - self.begun >= self._options.seconds
        return bool(late or self.asked >= self._options.requests)

    def ask(self) -> None:
        while True:
            with self._lock:
                if self.is_over:
                    return
                self.asked += 1
            began = time.monotonic()
            try:
                self._server.ask("/")
            except OSError as error:
                with self._lock:
                    if began <= self._killed_at + 1.0:
                        self.lost += 1
                    else:
                        self.failed += 1
                        self.errors.add(repr(error)[:200])

    def ask_with_wrk(self) -> None:
        url = f"http://{HOST}:{self._server.port}/"
        command = ["wrk", "-t1", f"-c{self._options.clients}", f"-d{WRK_SECONDS}s", url]
        while not self.is_over:
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            counts = re.search(r"(\d+) requests in", said)
            failed = re.findall(r"Socket errors: (.*)|(Non-2xx.*)", said)
            with self._lock:
                self.asked += int(counts[1]) if counts else 0
                self.failed += len(failed) + (counts is None)
                self.errors |= {part for pair in failed for part in pair if part}

    def run(self) -> None:
        options = self._options
        asks = [self.ask_with_wrk] if options.wrk else [self.ask] * options.clients
        clients = [threading.Thread(target=ask) for ask in asks]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            time.sleep(min(SAMPLE_SECONDS, 0.1 + options.seconds / 100))
            self.sample()
            progress(f"{self.asked:,} requests, {self.failed} failed")
            if time.monotonic() > self._kill_at:
                self.kill()
        progress("")

    def sample(self) -> None:
        try:
            workers = self._server.workers()
            self.rss_kib.append(round(statistics.mean(memory_kib(w, "Rss") for w in workers)))
            dirty = statistics.mean(memory_kib(w, "Private_Dirty") for w in workers)
            self.dirty_kib.append(round(dirty))
        except (OSError, statistics.StatisticsError):  # one has just ended
            return

    def kill(self) -> None:
        self._kill_at = time.monotonic() + self._options.kill_every
        workers = self._server.workers()
        if workers:
            self._killed_at = time.monotonic()
            self.killed += 1
            os.kill(workers[self.killed % len(workers)], signal.SIGKILL)

    def row(self) -> dict[str, Any]:
        rss_first, rss_last = ends(self.rss_kib, WARM_UP)
        dirty_first, dirty_last = ends(self.dirty_kib, WARM_UP)
        return {
            "requests": self.asked,
            "took_seconds": time.monotonic() - self.begun,
            "failed": self.failed,
            "errors": sorted(self.errors)[:5],
            "workers_killed": self.killed,
            "lost_with_them": self.lost,
            "rss_first_kib": rss_first,
            "rss_last_kib": rss_last,
            "rss_by_tenth_kib": tenths(self.rss_kib),
            "private_dirty_first_kib": dirty_first,
            "private_dirty_last_kib": dirty_last,
        }


def tenths(samples: list[int]) -> list[int]:
    """The mean of each tenth of them."""
    places = [len(samples) * tenth // 10 for tenth in range(11)]
    return [round(statistics.mean(samples[a:b])) for a, b in pairwise(places) if b > a]


def main() -> None:
    parser = results.parser("soak-gunicorn", __doc__)
    parser.add_argument("--requests", type=int, help=f"instead of {REQUESTS:,}")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--worker-class", default="sync")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--wrk", action="store_true", help="have wrk ask")
    parser.add_argument("--heap", type=int, default=200_000, help="tracked objects, preloaded")
    parser.add_argument("--kill-every", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    options.requests = options.requests or (QUICK_REQUESTS if options.quick else REQUESTS)
    arguments = ("--worker-class", options.worker_class, "--threads", "1")
    with Server(HOOKS, options.workers, *arguments, HEAP=str(options.heap)) as server:
        soak = Soak(server, options)
        soak.run()
    row = soak.row()
    reported = re.findall(r"requests +([\d,]+), (\d+) failed", server.log_at_end)
    row["counted_by_gcctl"] = sum(int(served.replace(",", "")) for served, _ in reported)
    row["warnings"] = re.findall(r"\[WARNING\] (.*)|Error handling", server.log_at_end)[:5]
    row["judged_after"] = WARM_UP
    json.dump(row, sys.stdout)
    print()
    grown = row["rss_last_kib"] > row["rss_first_kib"] * (1 + GROWTH) + SLACK_KIB
    sys.exit(bool(row["failed"] or grown))
