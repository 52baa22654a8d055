"""Collections as a GC callback of CPython sees them: alike in every mode, whoever collects."""

from __future__ import annotations

import gc
import time
from typing import Any

Row = dict[str, Any]


class Longest:
    """The longest stop by the clock, and the one that took most CPU time. On a busy machine other
    processes have their turns within a stop by the clock."""

    def __init__(self) -> None:
        self.wall_ns = 0
        self.cpu_ns = 0

    def see(self, wall_ns: int, cpu_ns: int) -> None:
        self.wall_ns = max(self.wall_ns, wall_ns)
        self.cpu_ns = max(self.cpu_ns, cpu_ns)

    def figures(self, name: str) -> Row:
        return {f"{name}_ns": self.wall_ns, f"{name}_cpu_ns": self.cpu_ns}


class Recorder:
    """Sums and maxima, in constant memory. Its callback takes no lock: the thread that holds the
    lock may be the thread that collects."""

    def __init__(self) -> None:
        self.in_flight = 0
        """Requests that are being answered. The owner of the recorder keeps it up to date."""
        self.clear()

    def clear(self) -> None:
        self.collections = [0, 0, 0]
        self.collected = 0
        self.wall_ns = 0
        self.cpu_ns = 0
        """CPU time of the collecting threads within collections: neighbours hardly change it."""
        self.longest = Longest()
        self.longest_in_request = Longest()
        """Of the stops that began while a request was in flight."""
        self._began_in_request = False
        self._began_ns = 0
        self._began_cpu_ns = 0

    def start(self) -> None:
        gc.callbacks.append(self._see)

    def figures(self) -> Row:
        return {
            "collections": list(self.collections),
            "collected": self.collected,
            "callback_wall_ns": self.wall_ns,
            "callback_cpu_ns": self.cpu_ns,
            **self.longest.figures("longest"),
            **self.longest_in_request.figures("longest_in_request"),
        }

    def _see(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_in_request = self.in_flight > 0
            self._began_cpu_ns = time.thread_time_ns()
            self._began_ns = time.perf_counter_ns()
            return
        if not self._began_ns:  # the collection began before the callback was there
            return
        wall_ns = time.perf_counter_ns() - self._began_ns
        cpu_ns = time.thread_time_ns() - self._began_cpu_ns
        self.wall_ns += wall_ns
        self.cpu_ns += cpu_ns
        self.collections[info["generation"]] += 1
        self.collected += info["collected"]
        self.stop(wall_ns, cpu_ns, self._began_in_request)
        self._began_ns = 0

    def stop(self, wall_ns: int, cpu_ns: int, in_request: bool) -> None:
        """The process stood still for so long."""
        self.longest.see(wall_ns, cpu_ns)
        if in_request:
            self.longest_in_request.see(wall_ns, cpu_ns)
