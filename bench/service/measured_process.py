"""The measured process: where its requests begin and end, and its figures."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import gcctl
from bench.service.catalogue import Catalogue
from bench.service.modes import MODES
from bench.service.protocol import BEGIN, FIGURES, SETTING
from bench.service.recorder import Recorder, Row
from bench.service.scenarios import Case

ROOM = 1.05
"""A memory limit that is nearly reached is so many times what the process uses at the start."""

LONG_NS = 500_000
"""By the clock. A longer boundary is remembered, and the longer steps of concurrent collections are
assigned to these boundaries. Shorter ones decide nothing."""

EVENTS_EVERY = 64
"""Requests between two readings of gcctl's last events, of which it keeps 256."""


class Process:
    """This process. Server hooks call `enter` and `leave`, the latter when the response is out."""

    def __init__(self, setting: Row) -> None:
        self.case = Case(**setting["case"])
        self.database: str = setting["database"]
        self._mode = MODES[setting["mode"]]
        self._recorder = Recorder()
        self._request = gcctl.request()
        self._lock = threading.Lock()
        self._controller: gcctl.Controller | None = None
        self.catalogue: Catalogue | None = None

    def start(self) -> None:
        """Load what the service keeps in memory, and then begin to collect in this mode."""
        self.catalogue = Catalogue(self.case)
        settings: dict[str, Any] = {}
        if self.case.nearly_full:
            settings["memory_limit"] = int(memory_bytes("VmRSS") * ROOM)
        self._controller = self._mode.begin(settings)
        self._recorder.start()
        self._clear()

    def visit(self) -> int:
        assert self.catalogue is not None
        return self.catalogue.visit()

    def enter(self) -> None:
        with self._lock:
            self._recorder.in_flight += 1
        self._request.__enter__()

    def leave(self) -> None:
        """The boundary. All of its CPU time counts as a stop. The time by the clock does not: it
        has in it other threads that had their turn meanwhile."""
        with self._lock:
            self._recorder.in_flight -= 1
            in_request = self._recorder.in_flight > 0  # another one
        seen_ns = self._recorder.cpu_ns
        began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        self._request.__exit__(None, None, None)
        cpu_ns, ended_ns = time.thread_time_ns() - began_cpu_ns, time.monotonic_ns()
        with self._lock:
            self._requests += 1
            if self._controller is not None:
                self._unseen_ns += max(cpu_ns - (self._recorder.cpu_ns - seen_ns), 0)
            self._recorder.stop(cpu_ns, cpu_ns, in_request)
            if ended_ns - began_ns > LONG_NS:
                self._long.append((began_ns, ended_ns))
        if self._requests % EVENTS_EVERY == 0:
            self._see_events()

    def answer(self, path: str) -> bytes | None:
        """The answer to a request about this process; None: it is about something else."""
        if path == BEGIN:
            self._clear()
            return json.dumps({"pid": os.getpid()}).encode()
        if path == FIGURES:
            return json.dumps(self._figures()).encode()
        return None

    def _clear(self) -> None:
        with suppress(OSError):  # then the peak is the one since the process began
            Path("/proc/self/clear_refs").write_text("5")
        self._requests = 0
        self._unseen_ns = 0
        """CPU time of boundaries that the callback did not see."""
        self._elsewhere_ns = 0
        """By the clock: long steps of concurrent collections that were not at a boundary."""
        self._long: deque[tuple[int, int]] = deque(maxlen=4 * EVENTS_EVERY)
        self._begun = gcctl.stats()
        self._begun_cpu_ns = time.process_time_ns()
        self._begun_child_ns = self._begun.concurrent.child_cpu_ns + children_cpu_ns()
        self._last_event_ns = time.monotonic_ns()
        self._recorder.clear()

    def _see_events(self) -> None:
        """The steps of concurrent collections, which no callback sees whole. gcctl knows their time
        by the clock only. For steps at boundaries the CPU time is known; for others it is less."""
        if self._controller is None:
            return
        boundaries = tuple(self._long)  # other threads add to it
        for event in self._controller.events():
            is_new = event.time_ns > self._last_event_ns
            self._last_event_ns = max(event.time_ns, self._last_event_ns)
            if event.reason == "concurrent" and is_new and event.pause_ns > LONG_NS:
                at_boundary = any(began <= event.time_ns <= ended for began, ended in boundaries)
                cpu_ns = 0 if at_boundary else event.pause_ns
                self._elsewhere_ns += cpu_ns
                self._recorder.stop(event.pause_ns, cpu_ns, event.in_flight > 0)

    def _figures(self) -> Row:
        self._see_events()
        stats = gcctl.stats()
        recorder = self._recorder.figures()
        run, before = stats.concurrent, self._begun.concurrent
        child_ns = run.child_cpu_ns + children_cpu_ns() - self._begun_child_ns
        unseen_ns = self._unseen_ns + self._elsewhere_ns
        return recorder | {
            "pid": os.getpid(),
            "requests": self._requests,
            "unseen_ns": unseen_ns,
            "child_cpu_ns": child_ns,
            "gc_ns": recorder["callback_cpu_ns"] + unseen_ns + child_ns,
            "cpu_ns": time.process_time_ns() - self._begun_cpu_ns,
            "rss_bytes": memory_bytes("VmRSS"),
            "peak_bytes": memory_bytes("VmHWM"),
            "child_memory_bytes": run.child_memory_bytes,
            "concurrent_started": run.started - before.started,
            "concurrent_void": run.void - before.void,
            "concurrent_fallbacks": run.fallbacks - before.fallbacks,
            "high_memory_events": stats.high_memory_events - self._begun.high_memory_events,
            "faults": stats.faults,
        }


def memory_bytes(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def children_cpu_ns() -> int:
    """CPU time so far of the children that run. gcctl knows it only when a child has ended."""
    found = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(OSError):  # it has just ended
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                user, system = fields[11:13]
                found += (int(user) + int(system)) * 10**9 // os.sysconf("SC_CLK_TCK")
    return found


here = Process(json.loads(os.environ[SETTING]))
