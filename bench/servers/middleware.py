"""What the middleware costs a server: requests per second of a hello-world application.

For each server the variants of hello.py run side by side, one worker process each. They are asked
in turn, in another order in each round, so that all of them meet the same noise. `wrk` asks where
it is on PATH, else a client in Python that keeps some connections busy. The loss is taken between
neighbouring blocks: the median over the rounds, with a 95 % interval. The CPU time of the worker
per request says the same once more, and neighbours hardly change it.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from bench.servers.busy_client import keep_busy
from bench.servers.hello import AUTO, COUNTED, PLAIN, VARIANTS
from bench.support import results
from bench.support.figures import Row
from bench.support.processes import command

CONNECTIONS = 8
ALLOWED = 0.02
"""The share of the requests per second that may be lost, with nothing due."""

# FD stands for the number of the listening socket.
SERVERS = {
    "gunicorn sync": ["gunicorn", "-b", "fd://FD", "bench.servers.hello:wsgi"],
    "gunicorn gthread": [
        "gunicorn",
        "-k",
        "gthread",
        "--threads",
        "8",
        "-b",
        "fd://FD",
        "bench.servers.hello:wsgi",
    ],
    "uvicorn": [
        "uvicorn",
        "--no-access-log",
        "--log-level",
        "warning",
        "--fd",
        "FD",
        "bench.servers.hello:asgi",
    ],
}


class Server(NamedTuple):
    port: int
    worker: psutil.Process


class Block(NamedTuple):
    requests: int
    seconds: float
    cpu_seconds: float
    """Of the worker. It comes in clock ticks of 10 ms, so for a single block it says little."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@contextmanager
def server(name: str, variant: str, folder: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        # uvicorn takes the socket for a Unix socket, and sets no option of TCP.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = [part.replace("FD", str(listener.fileno())) for part in SERVERS[name]]
        process = subprocess.Popen(
            command(*words),
            cwd=folder,  # which gunicorn adds to sys.path: not where gcctl's sources are
            env={**os.environ, "HELLO": variant},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port = listener.getsockname()[1]
            keep_busy(port, 1, requests=1)  # its first answer
            parent = psutil.Process(process.pid)
            yield Server(port, (parent.children() or [parent])[0])
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def ask(server: Server, seconds: float) -> Block:
    before = server.worker.cpu_times()
    began = time.perf_counter()
    if shutil.which("wrk"):
        requests = ask_with_wrk(server.port, seconds)
    else:
        requests = keep_busy(server.port, CONNECTIONS, seconds=seconds)
    took = time.perf_counter() - began
    after = server.worker.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return Block(requests, took, round(cpu, 2))


def ask_with_wrk(port: int, seconds: float) -> int:
    url = f"http://127.0.0.1:{port}/"
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = re.search(r"(\d+) requests in", done.stdout)
    failed = re.search(r"Non-2xx|Socket errors", done.stdout)
    if not found or failed:
        sys.exit(f"wrk was not answered:\n{done.stdout}")
    return int(found[1])


def measure(name: str, rounds: int, seconds: float) -> list[Row]:
    """A row for each variant but the plain one."""
    blocks: dict[str, list[Block]] = {variant: [] for variant in VARIANTS}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        servers = {
            variant: stack.enter_context(server(name, variant, folder)) for variant in VARIANTS
        }
        for each in servers.values():
            ask(each, seconds)  # warm
        order = list(VARIANTS)
        for _ in range(rounds):
            random.shuffle(order)
            for variant in order:
                blocks[variant].append(ask(servers[variant], seconds))
    return [summary(name, variant, blocks[PLAIN], blocks[variant]) for variant in (COUNTED, AUTO)]


def summary(name: str, variant: str, plain: list[Block], ours: list[Block]) -> Row:
    pairs = list(zip(plain, ours, strict=True))
    lost = [1 - b.rate / a.rate for a, b in pairs]
    low, high = interval(lost)
    plain_cpu_us, cpu_us = cpu_of(plain), cpu_of(ours)
    return {
        "server": name,
        "variant": variant,
        "plain_requests_per_second": median(block.rate for block in plain),
        "requests_per_second": median(block.rate for block in ours),
        "lost_share": median(lost),
        "lost_share_low": low,
        "lost_share_high": high,
        "plain_cpu_us": plain_cpu_us,
        "cpu_us": cpu_us - plain_cpu_us,
        "cpu_share": cpu_us / plain_cpu_us - 1 if plain_cpu_us else 0.0,
    }


def cpu_of(blocks: list[Block]) -> float:
    """CPU time of the worker per request, in microseconds."""
    return sum(b.cpu_seconds for b in blocks) / sum(b.requests for b in blocks) * 1e6


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median, by resampling."""
    drawn = sorted(median(random.choices(values, k=len(values))) for _ in range(2000))
    return drawn[50], drawn[-50]


def show(row: Row) -> None:
    verdict = ""
    if row["variant"] == COUNTED:
        verdict = f"  (wanted: at most {ALLOWED:.0%})"
    print(
        f"{row['server']:17} {row['variant']:8}"
        f"{row['plain_requests_per_second']:8,.0f} -> {row['requests_per_second']:8,.0f} requests/s"
        f"{row['lost_share']:8.2%} lost"
        f" ({row['lost_share_low']:.2%} to {row['lost_share_high']:.2%})"
        f"{row['cpu_us']:7.2f} us CPU each, {row['cpu_share']:.2%}{verdict}",
        flush=True,
    )


def main() -> None:
    parser = results.parser("middleware", __doc__)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each block")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds, seconds = (3, 0.1) if options.quick else (options.rounds, options.seconds)
    rows = []
    for name in options.servers:
        for row in measure(name, rounds, seconds):
            show(row)
            rows.append(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
