"""Explicit collections: the calls of `gc.collect()` that the program and its libraries make.

Who makes them is counted, and `explicit_collect` says what becomes of the full ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from gcctl._base.log import is_of_a_signal
from gcctl._base.public import public
from gcctl._interpreter.asking import call_guarded

FULL: Final = 2

MOST_CALLERS: Final = 64
"""So many callers are remembered. A new one takes the place of the one with the least time."""

SHOWN: Final = 10


@public
class ExplicitCaller(NamedTuple):
    """A place in the code that calls `gc.collect()`."""

    place: str
    """File and line, as in "/srv/app.py:12"; "unknown" for a call that comes from C code."""
    calls: int = 0
    skipped: int = 0
    """Calls among them that ran no collection, because of `explicit_collect`."""
    pause_total_ns: int = 0
    pause_max_ns: int = 0


class ExplicitCalls:
    """Those of one installation. Times are nanoseconds of the core's clock.

    There is no lock. What two threads count at the same moment may be counted once.
    """

    def __init__(
        self,
        now: Callable[[], int],
        *,
        collect_concurrently: Callable[[], int] | None,
        interval_ns: int | None,
        fault: Callable[[], object],
    ) -> None:
        """`collect_concurrently()` runs in place of full collections and returns the objects found;
        None: they run as asked for. At most one of them runs in `interval_ns`; None: all run.
        `fault()` is called in an `except` clause."""
        self._now = now
        self._collect_concurrently = collect_concurrently
        self._interval_ns = interval_ns
        self._fault = fault
        self._next_ns = 0
        """No full one runs before this time."""
        self._callers: dict[tuple[str, int], ExplicitCaller] = {}

    def begin(self, generation: int) -> int | tuple[tuple[str, int], int]:
        """Before a call of `gc.collect(generation)`; the generation is -1 where the argument is
        wrong. Returns what the call is to return, or what `end()` takes after it."""
        try:
            caller = _caller()
            now = self._now()
            if generation != FULL:
                return caller, now
            if self._interval_ns is not None and now < self._next_ns:
                self._count(caller, 0, skipped=True)
                return 0
            if self._interval_ns is not None:
                self._next_ns = now + self._interval_ns
            if self._collect_concurrently is None:
                return caller, now
            collected = self._collect_concurrently()
            self._count(caller, self._now() - now)
            return collected
        except RecursionError:
            raise
        except Exception as error:
            if is_of_a_signal(error):
                raise
            self._fault()
            return ("unknown", 0), 0

    def end(self, begun: tuple[tuple[str, int], int]) -> None:
        """After it."""
        caller, began_ns = begun
        if began_ns:
            with suppress(RecursionError):
                call_guarded(lambda: self._count(caller, self._now() - began_ns), self._fault)

    def busiest(self) -> tuple[ExplicitCaller, ...]:
        """The callers with the longest pauses in all, longest first; at most ten."""
        callers = sorted(self._callers.copy().values(), key=lambda caller: -caller.pause_total_ns)
        return tuple(callers[:SHOWN])

    def clear(self) -> None:
        """In a forked child."""
        self._callers = {}
        self._next_ns = 0

    def _count(self, caller: tuple[str, int], pause_ns: int, *, skipped: bool = False) -> None:
        callers = self._callers
        found = callers.get(caller)
        if found is None:
            if len(callers) >= MOST_CALLERS:
                seen = callers.copy()  # another thread may be at the same
                callers.pop(min(seen, key=lambda each: seen[each].pause_total_ns), None)
            file, line = caller
            found = ExplicitCaller(f"{file}:{line}" if line else file)
        callers[caller] = ExplicitCaller(
            found.place,
            found.calls + 1,
            found.skipped + skipped,
            found.pause_total_ns + pause_ns,
            max(found.pause_max_ns, pause_ns),
        )


def _caller() -> tuple[str, int]:
    """The place that calls `gc.collect()`."""
    try:
        frame = sys._getframe(2)  # begin() is called by the stand-in, which has no frame
    except ValueError:
        return "unknown", 0
    return frame.f_code.co_filename, frame.f_lineno
