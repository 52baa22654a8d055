"""What a process of the demo measures about itself, in the same way with and without gcctl."""

from __future__ import annotations

import gc
import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil


class Meter:
    """Time, CPU time and all collections of a `with` block, whoever caused them."""

    def __init__(self) -> None:
        self._elapsed_ns = self._cpu_ns = self._began_ns = 0
        self._collections = [0, 0, 0]
        self._pause_total_ns = self._pause_max_ns = 0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collection)
        self._cpu_ns = -time.process_time_ns()
        self._elapsed_ns = -time.perf_counter_ns()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._elapsed_ns += time.perf_counter_ns()
        self._cpu_ns += time.process_time_ns()
        gc.callbacks.remove(self._collection)

    def _collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = time.perf_counter_ns()
            return
        pause_ns = time.perf_counter_ns() - self._began_ns
        self._collections[info["generation"]] += 1
        self._pause_total_ns += pause_ns
        self._pause_max_ns = max(self._pause_max_ns, pause_ns)

    def figures(self) -> dict[str, Any]:
        """The figures of the block, under the names of a row. Times are nanoseconds."""
        return {
            "elapsed_ns": self._elapsed_ns,
            "cpu_ns": self._cpu_ns,
            "collections_by_generation": self._collections,
            "pause_total_ns": self._pause_total_ns,
            "pause_max_ns": self._pause_max_ns,
        }


def rss_bytes() -> int:
    """Resident set size of this process now."""
    rss: int = psutil.Process().memory_info().rss
    return rss


def peak_rss_bytes() -> int:
    """The largest resident set size that this process has had."""
    # Not from getrusage() on Linux: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:
        windows: int = psutil.Process().memory_info().peak_wset
        return windows
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes
