"""The immutable records that a core returns: single collections, and counts of them.

Times and durations are nanoseconds of the monotonic clock, as `int`.
"""

from __future__ import annotations

from typing import NamedTuple

from gcctl._base.public import public

GENERATIONS = 3
RING_SIZE = 256
"""How many of the last events are kept."""


@public
class ByReason(NamedTuple):
    """A count for each reason a collection can have, in the order of `GCCTL_REASON_…` in
    csrc/core/event.h."""

    scheduled: int = 0
    """Due at a boundary."""
    emergency: int = 0
    """After a failing request."""
    pressure: int = 0
    """Because memory was over its limit."""
    concurrent: int = 0
    """Steps of concurrent full collections that stop the process: the start (as generation 2), and
    each slice of the sweep (as generation 0)."""
    requested: int = 0
    """By an explicit call of gcctl: the end of a batch, the final collection."""
    automatic: int = 0
    """By automatic GC: the interpreter's own collections, while objects are allocated."""
    explicit: int = 0
    """By a `gc.collect()` of the program or of a library in it."""


REASONS = ByReason._fields


@public
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

    collections: int = 0
    collected: int = 0
    pause_total_ns: int = 0
    pause_max_ns: int = 0
    pauses: tuple[tuple[int, int], ...] = ()
    """The histogram: (bucket, count) of each bucket that is not empty, in ascending order. The
    bounds of a bucket are in `gcctl._core.histogram`."""


class Tally(NamedTuple):
    """The collections of one generation since the start, also those that gcctl did not cause."""

    collections: int = 0
    """Without the starts and slices of concurrent collections, which go through no generation."""
    collected: int = 0
    """Unreachable objects found, also by concurrent collections."""
    pause_total_ns: int = 0
    """Without the starts and slices of concurrent collections."""


class LastMinute(NamedTuple):
    """The collections of the last 55 to 60 seconds, or of all time since the start."""

    collections: tuple[int, int, int] = (0, 0, 0)
    """Collections of each generation."""
    totals: GenerationTotals = GenerationTotals()
    """All generations together."""


class Snapshot(NamedTuple):
    """Every counter of a core at one moment."""

    requests: int
    """Boundaries passed: requests left and ticks."""
    failures: int
    """Requests left by an `Exception`."""
    in_flight: int
    """Requests entered and not left."""
    unmatched_exits: int
    """Exits while no request was in flight; each was ignored."""
    faults: int
    """Errors inside gcctl that were kept away from a request."""
    by_reason: ByReason
    """Collections per reason."""
    generations: tuple[GenerationTotals, ...]
    last_minute: LastMinute
