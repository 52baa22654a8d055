"""What is exported to every metrics system: one table from `Stats` to numbers.

Names and units are OpenTelemetry's. Prometheus has its own spelling of them, by the usual rules for
that conversion: `gc.collections` is `gcctl_gc_collections_total` there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from gcctl._core import histogram
from gcctl._monitor.statistics import Stats

PAUSE_BOUNDS_NS: Final = tuple(2**exponent - 1 for exponent in range(15, 33))
"""Upper bounds (inclusive) of the exported histogram: 33 µs, then twice as much each, to 4.3 s.

At each bound a bucket of the core's histogram ends: one nanosecond before a power of two. So each
bucket lies between two bounds, and the counts are exact.
"""

Values = Mapping[str, int]
"""A number for each value of the label; for "" where there is no label. Times in nanoseconds."""


class Metric(NamedTuple):
    name: str
    kind: Literal["counter", "level", "gauge"]
    """A counter only grows. A level goes up and down, and levels of several processes add up. A
    gauge of several processes has no sum."""
    unit: str
    """As UCUM writes it: "s", "By", or in braces what is counted."""
    help: str
    read: Callable[[Stats], Values]
    label: str = ""


def _one(field: str) -> Callable[[Stats], Values]:
    return lambda stats: {"": int(getattr(stats, field))}


def _by_generation(field: str) -> Callable[[Stats], Values]:
    return lambda stats: {
        str(generation): getattr(totals, field)
        for generation, totals in enumerate(stats.generations)
    }


def _auto(field: str) -> Callable[[Stats], Values]:
    return lambda stats: {"": getattr(stats.auto, field)} if stats.auto else {}


def _limited(field: str) -> Callable[[Stats], Values]:
    return lambda stats: {"": getattr(stats, field)} if stats.memory_limited else {}


def _concurrent(stats: Stats) -> Values:
    ended = stats.concurrent
    return {"collected": ended.collected, "void": ended.void, "fallback": ended.fallbacks}


METRICS: Final = (
    Metric("requests", "counter", "{request}", "Requests finished", _one("requests")),
    Metric("failed_requests", "counter", "{request}", "Requests that raised", _one("failures")),
    Metric("requests_in_flight", "level", "{request}", "Requests running", _one("in_flight")),
    Metric(
        "unmatched_exits",
        "counter",
        "{exit}",
        "Ends of requests that had not begun: a hook in the wrong place",
        _one("unmatched_exits"),
    ),
    Metric("faults", "counter", "{fault}", "Errors inside gcctl, kept away", _one("faults")),
    Metric(
        "gc.collections",
        "counter",
        "{collection}",
        "Collections, whoever caused them",
        _by_generation("collections"),
        "generation",
    ),
    Metric(
        "gc.collections_by_reason",
        "counter",
        "{collection}",
        "Collections by what caused them",
        lambda stats: stats.collections_by_reason._asdict(),
        "reason",
    ),
    Metric(
        "gc.collected_objects",
        "counter",
        "{object}",
        "Unreachable objects found",
        _by_generation("objects_collected"),
        "generation",
    ),
    Metric(
        "concurrent.started",
        "counter",
        "{collection}",
        "Concurrent full collections begun",
        lambda stats: {"": stats.concurrent.started},
    ),
    Metric(
        "concurrent.collections",
        "counter",
        "{collection}",
        "Concurrent full collections completed or void, and those that stopped the world instead",
        _concurrent,
        "outcome",
    ),
    Metric(
        "concurrent.child_cpu",
        "counter",
        "s",
        "CPU time of the children of concurrent collections",
        lambda stats: {"": stats.concurrent.child_cpu_ns},
    ),
    Metric("resident_memory", "level", "By", "Resident set size of the process", _one("rss_bytes")),
    Metric(
        "memory.used",
        "gauge",
        "By",
        "Memory that is compared with memory_limit",
        _limited("memory_used_bytes"),
    ),
    Metric("memory.limit", "gauge", "By", "memory_limit", _limited("memory_limit_bytes")),
    Metric("high_memory", "gauge", "1", "1 in high-memory mode, else 0", _one("high_memory")),
    Metric(
        "high_memory_entries",
        "counter",
        "{entry}",
        "How often high-memory mode was entered",
        _one("high_memory_events"),
    ),
    Metric(
        "alerts",
        "counter",
        "{alert}",
        "Alerts, also those too frequent to be told of",
        lambda stats: stats.alert_counts._asdict(),
        "kind",
    ),
    Metric(
        "auto.back_off",
        "gauge",
        "{collection}",
        "Full collections in a row that found next to nothing, up to 3",
        _auto("back_off"),
    ),
    Metric(
        "auto.tenured",
        "counter",
        "{tenure}",
        "How often what was alive was tenured",
        _auto("tenured"),
    ),
    Metric(
        "auto.full_collections",
        "counter",
        "{collection}",
        "Full collections begun by the policy",
        _auto("full_collections"),
    ),
)


def pause_counts(pauses: Iterable[tuple[int, int]]) -> list[int]:
    """The core's histogram as counts between the exported bounds; the last is beyond all bounds."""
    counts = [0] * (len(PAUSE_BOUNDS_NS) + 1)
    for bucket, count in pauses:
        counts[bisect_left(PAUSE_BOUNDS_NS, histogram.bounds(bucket)[1])] += count
    return counts
