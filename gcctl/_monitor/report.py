"""The report: as text for people; as JSON by `gcctl._monitor.report_json`."""

from __future__ import annotations

import os
import platform
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Literal

from gcctl._base.units import duration, size
from gcctl._concurrent.coordinator import ConcurrentStats, coordinator
from gcctl._config.config import Config
from gcctl._config.fields import shown
from gcctl._core import histogram
from gcctl._core.records import Event
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.mechanisms import in_words, overview
from gcctl._interpreter.settings import Settings
from gcctl._monitor import report_json
from gcctl._monitor.statistics import CollectionStats, Stats
from gcctl._process.twins import core

LABEL_WIDTH = 14
BAR_WIDTH = 40
ALERTS_SHOWN = 5

STEPS = (0, *(digit * 10**zeros for zeros in range(20) for digit in (1, 2, 5)))
"""Where a row of the pause histogram ends and the next one begins, in nanoseconds."""


def render(
    format: Literal["text", "json"],
    stats: Stats,
    config: Config | None,
    events: tuple[Event, ...],
) -> str:
    """The report as `text` for people, or as `json`: one JSON object, in one line.

    Only the JSON has `config` and `events`, which are the last collections. Raises ValueError for
    another format.
    """
    if format == "text":
        return full(stats)
    if format == "json":
        return report_json.render(stats, config, events)
    raise ValueError(f"format: {shown(format)} is not accepted; expected 'text' or 'json'")


def full(stats: Stats) -> str:
    """The report for people: sections of several lines."""
    if stats.policy is None:
        return "gcctl is not installed"
    sections = (
        _overview(stats),
        _pauses(stats),
        _histogram(stats),
        _auto(stats),
        _memory(stats),
        _notices(stats),
    )
    return "\n\n".join("\n".join(section) for section in sections if section)


def line(stats: Stats) -> str:
    """The status report, in one line."""
    young, middle, old = stats.collections_by_generation
    return (
        f"{stats.requests:,} requests, {stats.collections:,} collections "
        f"(generation 0: {young:,}, 1: {middle:,}, 2: {old:,}), "
        f"mean pause {duration(stats.pause_mean_ns)}, longest {duration(stats.pause_max_ns)}, "
        f"{stats.high_memory_events:,} high-memory events, RSS {size(stats.rss_bytes)}"
    )


def pause_rows(stats: CollectionStats) -> list[tuple[int, int, int]]:
    """Rows of the pause histogram: (from, to, count), the first two in nanoseconds, from the
    shortest pause to the longest.

    A bucket that belongs to two rows counts in the row where its middle is. So a pause within 1/32
    of the end of a row may be counted in the next one.
    """
    counts: Counter[int] = Counter()
    last = stats.pause_histogram[-1][0] if stats.pause_histogram else None
    for bucket, count in stats.pause_histogram:
        # The longest pause is known exactly, and may be longer than its bucket says.
        middle = stats.pause_max_ns if bucket == last else sum(histogram.bounds(bucket)) // 2
        counts[min(bisect_right(STEPS, middle), len(STEPS) - 1)] += count
    rows = range(min(counts), max(counts) + 1) if counts else ()
    return [(STEPS[row - 1], STEPS[row], counts[row]) for row in rows]


def _labelled(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{label:<{LABEL_WIDTH}}{text}".rstrip() for label, text in rows]


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts)


def _overview(stats: Stats) -> list[str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    reasons = stats.collections_by_reason._asdict().items()
    by_reason = _counts((name, count) for name, count in reasons if count)
    settings = Settings.current()
    return _labelled(
        [
            (
                "gcctl",
                f"policy {stats.policy}, {stats.implementation} core, {python}, {COLLECTOR} GC, "
                f"process {os.getpid()}",
            ),
            (
                "requests",
                f"{stats.requests:,}, {stats.failures:,} failed, {stats.in_flight:,} in flight",
            ),
            ("collections", f"{stats.collections:,}" + (by_reason and f": {by_reason}")),
            *_explicit(stats),
            (
                "GC share",
                f"{_percent(stats.pause_share)} of {duration(stats.elapsed_ns)} elapsed, "
                f"{_percent(stats.gc_cpu_share)} of {duration(stats.cpu_ns)} of CPU time",
            ),
            *_concurrent(stats.concurrent),
            (
                "automatic GC",
                f"{'on' if settings.enabled else 'off'}, thresholds {settings.thresholds}",
            ),
            ("mechanisms", in_words(overview(coordinator.missing))),
            *([("left alone", stats.left_alone)] if stats.left_alone else []),
        ]
    )


def _explicit(stats: Stats) -> list[tuple[str, str]]:
    """Who calls gc.collect()."""
    return [
        (
            label,
            f"{caller.calls:,} by {caller.place}, {duration(caller.pause_total_ns)} in all, "
            f"longest {duration(caller.pause_max_ns)}"
            + (f", {caller.skipped:,} skipped" if caller.skipped else ""),
        )
        for label, caller in zip(
            chain(["gc.collect()"], repeat("")), stats.explicit_callers, strict=False
        )
    ]


def _concurrent(stats: ConcurrentStats) -> list[tuple[str, str]]:
    if not stats.started and not stats.fallbacks:
        return []
    return [
        (
            "concurrent",
            f"{stats.started:,} full collections, {stats.void:,} void, "
            f"{stats.fallbacks:,} more stopped the world; {stats.objects_collected:,} objects",
        ),
        (
            "",
            f"longest start {duration(stats.start_pause_max_ns)}, "
            f"slice {duration(stats.sweep_pause_max_ns)}; "
            f"children {duration(stats.child_cpu_ns)} CPU, {size(stats.child_memory_bytes)}",
        ),
    ]


def _auto(stats: Stats) -> list[str]:
    auto = stats.auto
    if auto is None:
        return []
    now = core.now()
    return _labelled(
        [
            (
                "predicted",
                f"generation 1 {duration(auto.middle_predicted_ns)}, "
                f"2 {duration(auto.recent_predicted_ns)}, "
                f"a full collection {duration(auto.full_predicted_ns)} in all",
            ),
            (
                "since full",
                f"RSS grew {size(auto.grown_bytes)}, up to {auto.grown_objects:,} more objects; "
                f"wanted for the next {_percent(auto.growth_wanted)}, back-off {auto.back_off}",
            ),
            ("tenured", f"{auto.tenured:,} times"),
            *(
                (label, f"{duration(max(now - time_ns, 0))} ago: {what}")
                for label, (time_ns, what) in zip(
                    chain(["decisions"], repeat("")), auto.decisions, strict=False
                )
            ),
        ]
    )


def _pauses(stats: Stats) -> list[str]:
    if not stats.collections:
        return []
    titles = ("count", "objects", "objects/ms", "total", "mean", "P50", "P99", "P99.9", "longest")
    rows = [
        *((f"generation {number}", part) for number, part in enumerate(stats.generations)),
        ("all", stats),
        ("last minute", stats.last_minute),
    ]
    cells = [titles, *(_figures(part) for _, part in rows)]
    labels = ["pauses", *(label for label, _ in rows)]
    return _labelled(zip(labels, _aligned(cells), strict=True))


def _figures(stats: CollectionStats) -> tuple[str, ...]:
    """The cells of one row, in the order of the titles in `_pauses`."""
    if not stats.collections:
        return "0", *["-"] * 8
    times = (
        stats.pause_total_ns,
        stats.pause_mean_ns,
        *(stats.pause_percentile_ns(q) for q in (50, 99, 99.9)),
        stats.pause_max_ns,
    )
    return (
        f"{stats.collections:,}",
        f"{stats.objects_collected:,}",
        f"{stats.objects_per_ms:,.0f}",
        *map(duration, times),
    )


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Each row as a line; columns are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]


def _histogram(stats: CollectionStats) -> list[str]:
    rows = pause_rows(stats)
    most = max((count for _, _, count in rows), default=0)
    ranges = _aligned(
        [(duration(low), "to", duration(high), f"{count:,}") for low, high, count in rows]
    )
    bars = ["#" * -(-count * BAR_WIDTH // most) for _, _, count in rows]  # at least one
    lines = [f"{text}  {bar}" for text, bar in zip(ranges, bars, strict=True)]
    return _labelled(zip(chain(["histogram"], repeat("")), lines, strict=False))


def _memory(stats: Stats) -> list[str]:
    limit = "none"
    if stats.memory_limited:
        share = stats.memory_used_bytes / max(stats.memory_limit_bytes, 1)
        limit = (
            f"{stats.memory_limited} {size(stats.memory_used_bytes)} of "
            f"{size(stats.memory_limit_bytes)} ({_percent(share)}), "
            f"stalled {_percent(stats.memory_stalled_share)} of the last 10 s"
        )
    rows = [
        (
            "memory",
            f"RSS {size(stats.rss_bytes)} now, {size(stats.rss_mean_bytes)} mean, "
            f"{size(stats.rss_peak_bytes)} peak",
        ),
        ("limit", limit),
    ]
    if stats.memory_limited or stats.high_memory_events:
        now = "yes" if stats.high_memory else "no"
        rows.append(("high memory", f"{now}; high-memory events: {stats.high_memory_events:,}"))
    if stats.memory_events:
        rows.append(("last event", str(stats.memory_events[-1])))
    return _labelled(rows)


def _notices(stats: Stats) -> list[str]:
    counts = stats.alert_counts
    now = core.now()
    advice = stats.recycle_advice
    rows = [
        ("alerts", _counts(counts._asdict().items()) if any(counts) else "none"),
        *(
            ("", f"{duration(max(now - alert.time_ns, 0))} ago: {alert.message}")
            for alert in stats.alerts[-ALERTS_SHOWN:]
        ),
        ("recycling", f"advised ({advice.reason}): {advice.message}" if advice else "not advised"),
    ]
    if stats.unmatched_exits:
        rows.append(("ignored", f"{stats.unmatched_exits:,} exits of a request never entered"))
    if stats.faults:
        rows.append(("faults", f"{stats.faults:,} errors inside gcctl, kept away from requests"))
    return _labelled(rows)


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"
