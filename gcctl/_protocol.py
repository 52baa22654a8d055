"""What both twins of the core promise: the Protocol, and the immutable records they answer with.

Times and durations are nanoseconds of the monotonic clock, as `int`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol

GENERATIONS = 3
RING_SIZE = 256
"""How many of the last events are kept."""

NEVER = 0
"""As a number of requests between two collections: not on any schedule."""


class ByReason(NamedTuple):
    """A count for each reason a collection can have, in the order of `GCCTL_REASON_…` in
    csrc/recorder.h."""

    scheduled: int = 0
    """Due at a boundary."""
    emergency: int = 0
    """After a failing request."""
    requested: int = 0
    """By an explicit call of gcctl, such as the final collection."""
    external: int = 0
    """Automatic, or somebody else's `gc.collect()`."""


REASONS = ByReason._fields


class Orders(NamedTuple):
    """What a core is to do at boundaries."""

    every: tuple[int, int, int] = (NEVER, NEVER, NEVER)
    """Requests between two collections of generation 0, 1 and 2."""
    report_every: int = NEVER
    """Requests between two status reports."""
    emergency_interval_ns: int = -1
    """Shortest time between two collections for failing requests; -1: none."""
    max_pause_ns: int = (1 << 63) - 1
    """What pause of a boundary is to be told of: any longer one."""
    external: bool = True
    """Whether to record the collections that others cause."""


class Event(NamedTuple):
    """One collection."""

    time_ns: int
    """Start, on the monotonic clock."""
    pause_ns: int
    generation: int
    collected: int
    """Unreachable objects found."""
    reason: str
    """The name of one of the fields of `ByReason`."""
    in_flight: int
    """Requests running when it started."""


class GenerationTotals(NamedTuple):
    """All collections of one generation since the start."""

    collections: int
    collected: int
    pause_total_ns: int
    pause_max_ns: int
    pauses: tuple[tuple[int, int], ...]
    """The histogram: (bucket, count) of each bucket that is not empty, in ascending order; what a
    bucket stands for is in `gcctl.histogram`."""


class Snapshot(NamedTuple):
    """Every counter of a core at one moment."""

    requests: int
    """Boundaries passed: requests left and ticks."""
    failures: int
    """Requests left by an exception."""
    in_flight: int
    """Requests entered and not left."""
    unmatched_exits: int
    """Exits that had no request to leave; each was ignored."""
    faults: int
    """Errors inside gcctl that were kept away from a request."""
    by_reason: ByReason
    """Collections per reason."""
    generations: tuple[GenerationTotals, ...]


Notify = Callable[[Literal["report", "long_pause"], Event | None], object]
"""What a core calls, outside any collection, when a status report is due or a collection of its own
has paused a boundary for longer than allowed. What it raises is a fault."""


class Core(Protocol):
    """The part of gcctl that sits on the request boundary.

    One per process does the work (`gcctl._impl.core`). `collect`, `clock` and `callbacks` are there
    to drive one by hand: a function in place of `gc.collect`, one in place of the monotonic clock,
    a list in place of `gc.callbacks`.

    Exact under threads because each step of the counting runs while the GIL is held.
    """

    implementation: Literal["c", "python"]

    def __init__(
        self,
        *,
        collect: Callable[[int], int] | None = None,
        clock: Callable[[], int] | None = None,
        callbacks: list[Any] | None = None,
    ) -> None: ...

    def request(self, func: Any = None, /) -> Any:
        """The context manager of a request; or, given a function, that function as a request."""

    def enter(self, context: Any = None, /) -> Any:
        """A request begins. Returns the context manager."""

    def exit(self, exc_type: Any, exc: Any, traceback: Any, behind_context: Any = ..., /) -> None:
        """A request ends: one boundary. Does nothing when no request is in flight.

        Both may be called with the context manager in front of their arguments, which `ExitStack`
        does because methods are what it expects to find on a type.
        """

    def tick(self) -> None:
        """A boundary without a context: one unit of work is done."""

    def start(self, orders: Orders, notify: Notify) -> None:
        """Act at boundaries from now on, with clean counters."""

    def stop(self) -> bool:
        """Act no more. False when somebody had removed our gc callback meanwhile."""

    def collect(self, generation: int, reason: int) -> int:
        """Collect now and record it, for the reason of that index.

        Returns the number of unreachable objects found, -1 when a collection already running made
        it impossible.
        """

    def snapshot(self) -> Snapshot: ...

    def events(self) -> tuple[Event, ...]:
        """The last collections, oldest first; at most `RING_SIZE`."""

    def busy_elsewhere(self) -> bool:
        """True while another thread is in the middle of a collection.

        Finds out by running one of generation 0, unrecorded.
        """

    def hold(self) -> None:
        """A fork is coming: until `release`, boundaries owe their collections. Holds add up."""

    def release(self) -> None:
        """The fork is over, in the parent."""

    def after_fork(self) -> None:
        """In the child: clean counters, no requests in flight, everything due counted anew."""


def log_fault() -> None:
    """Log the exception being handled, once for a core; never raises."""
    with suppress(Exception):  # a broken logging setup must not break the request either
        logging.getLogger("gcctl").exception(
            "an error inside gcctl was kept away from a request; further ones are only counted"
        )
