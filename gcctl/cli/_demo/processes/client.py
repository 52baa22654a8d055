"""The load: real HTTP requests at a constant rate, from a process of its own.

    python -m gcctl.cli._demo.processes.client '{"port": 80, "rate": 9, "requests": 9, "warmup": 9}'

An open loop: request n is due at n / rate, whether or not the requests before it were answered. Its
latency runs from then to the last byte of the answer. A client that waits for each answer before it
sends the next request would send nothing during a pause of the server. So only one request would
show the pause.
"""

from __future__ import annotations

import gc
import http.client
import json
import math
import sys
import threading
import time
from collections.abc import Sequence

from gcctl.cli._demo.processes import pipes
from gcctl.cli._demo.processes.workload import PATH, REQUEST_HEADERS

CONNECTIONS = 64
"""Requests that can be under way at once. When all are, the next request is sent late. Its latency
still runs from when it was due."""
PATIENCE_SECONDS = 30.0
"""How long to wait for answers, from when the last request was due."""
PROGRESS_SECONDS = 0.25


def fetch(port: int, timeout: float) -> bool:
    """Send one request. Returns whether it was answered in full."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", PATH, headers=REQUEST_HEADERS)
        response = connection.getresponse()
        return bool(response.read()) and response.status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class OpenLoop:
    """Sends `requests` requests, one every 1 / `rate` seconds, and keeps the latency of each."""

    def __init__(self, port: int, rate: float, requests: int) -> None:
        self._port = port
        self._interval_ns = 1e9 / rate
        self._numbers = iter(range(requests))
        self._lock = threading.Lock()
        self._last_due = requests / rate
        self.latencies_ns: list[int] = []
        self.errors = 0
        self.elapsed_ns = 0

    @property
    def done(self) -> int:
        return len(self.latencies_ns) + self.errors

    def start(self) -> list[threading.Thread]:
        self._start_ns = time.perf_counter_ns() + int(PROGRESS_SECONDS * 1e9)
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        return threads

    def _work(self) -> None:
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            self._send(self._start_ns + int(number * self._interval_ns))

    def _send(self, due_ns: int) -> None:
        time.sleep(max(due_ns - time.perf_counter_ns(), 0) / 1e9)
        elapsed = (time.perf_counter_ns() - self._start_ns) / 1e9
        timeout = self._last_due + PATIENCE_SECONDS - elapsed
        answered = timeout > 0 and fetch(self._port, timeout)
        now_ns = time.perf_counter_ns()
        with self._lock:
            self.elapsed_ns = now_ns - self._start_ns
            if answered:
                self.latencies_ns.append(now_ns - due_ns)
            else:
                self.errors += 1


def percentile(ordered: Sequence[int], q: float) -> int:
    """The value that `q` % of the values do not exceed (nearest rank); 0 when there are none."""
    return ordered[max(math.ceil(len(ordered) * q / 100), 1) - 1] if ordered else 0


def main() -> None:
    plan = json.loads(sys.argv[1])
    words = pipes.commands()
    gc.disable()  # a pause here would count as one of the server; nothing here needs the collector
    for _ in range(plan["warmup"]):
        fetch(plan["port"], PATIENCE_SECONDS)
    pipes.say("warm")
    words.get()
    loop = OpenLoop(plan["port"], plan["rate"], plan["requests"])
    for thread in loop.start():
        while thread.is_alive():
            thread.join(PROGRESS_SECONDS)
            pipes.say("progress", done=loop.done)
    ordered = sorted(loop.latencies_ns)
    pipes.say(
        "sent",
        requests=len(ordered),
        errors=loop.errors,
        # The last request has its interval too, however soon it was answered.
        requests_per_s=len(ordered) / max(loop.elapsed_ns / 1e9, plan["requests"] / plan["rate"]),
        p50_ns=percentile(ordered, 50),
        p99_ns=percentile(ordered, 99),
        worst_ns=percentile(ordered, 100),
    )


if __name__ == "__main__":
    main()
