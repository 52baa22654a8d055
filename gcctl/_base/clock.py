"""A monotonic clock and a sleep that no library changes.

Libraries for tests freeze time, or shift it: they put functions of their own into the module
`time`. A deadline that followed them would come at once, or never.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec


def _unchanged() -> Callable[[], int]:
    """`time.perf_counter_ns` as CPython has made it, also where somebody has replaced it by now: it
    is taken from a new copy of the module."""
    spec = find_spec("time")
    if spec is None or spec.loader is None or spec.origin != "built-in":
        return time.perf_counter_ns
    copy = module_from_spec(spec)
    spec.loader.exec_module(copy)
    now_ns: Callable[[], int] = copy.perf_counter_ns
    return now_ns


class Monotonic:
    """The clock of all deadlines."""

    def __init__(self) -> None:
        # An attribute of an object: libraries go through those of modules.
        self.now_ns = _unchanged()
        """Nanoseconds. Where the compiled core is at work, this is its clock, which reads the
        system itself."""

    def seconds(self) -> float:
        return self.now_ns() / 1e9


monotonic = Monotonic()


def sleep(seconds: float) -> None:
    """Let other threads run for so long; greenlets too, where those stand in for threads.

    Not by `time.sleep()`, which tests replace to count its calls, or to have it raise.
    """
    lock = _thread.allocate_lock()
    lock.acquire()
    lock.acquire(timeout=seconds)
