"""Statistics as text for people."""

from __future__ import annotations

import platform
from typing import Literal

from gcctl._protocol import Event
from gcctl.collectors import COLLECTOR
from gcctl.config import Config
from gcctl.monitor import Stats
from gcctl.settings import Settings
from gcctl.units import duration, size


def render(
    format: Literal["text", "json"],
    stats: Stats,
    config: Config | None,
    events: tuple[Event, ...],
) -> str:
    if format == "text":
        return full(stats)
    raise ValueError(format)


def full(stats: Stats) -> str:
    """Everything, over several lines."""
    if stats.policy is None:
        return "gcctl is not installed"
    by_generation = ", ".join(
        f"generation {generation}: {count:,}"
        for generation, count in enumerate(stats.collections_by_generation)
    )
    by_reason = ", ".join(
        f"{why} {count:,}" for why, count in stats.collections_by_reason._asdict().items()
    )
    python = f"{platform.python_implementation()} {platform.python_version()}"
    rows = [
        ("gcctl", f"policy {stats.policy}, {stats.implementation} core, {python}, {COLLECTOR} GC"),
        (
            "requests",
            f"{stats.requests:,}, {stats.failures:,} failed, {stats.in_flight:,} in flight",
        ),
        ("collections", f"{stats.collections:,} ({by_generation})"),
        ("", by_reason),
        ("collected", f"{stats.objects_collected:,} objects"),
        ("pauses", _pauses(stats)),
        ("memory", f"RSS {size(stats.rss_bytes)}, {stats.high_memory_events:,} high-memory events"),
        ("automatic GC", _settings()),
        ("alerts", f"{len(stats.alerts)} kept" if stats.alerts else "none"),
        *(("", alert.message) for alert in stats.alerts[-5:]),
    ]
    if stats.unmatched_exits:
        rows.append(("ignored", f"{stats.unmatched_exits:,} exits of a request never entered"))
    if stats.faults:
        rows.append(("faults", f"{stats.faults:,} errors inside gcctl, kept away from requests"))
    return "\n".join(f"{name:<13} {text}".rstrip() for name, text in rows)


def line(stats: Stats) -> str:
    """The status report, in one line."""
    young, middle, old = stats.collections_by_generation
    return (
        f"{stats.requests:,} requests, {stats.collections:,} collections "
        f"(generation 0: {young:,}, 1: {middle:,}, 2: {old:,}), "
        f"mean pause {duration(stats.pause_mean_ns)}, longest {duration(stats.pause_max_ns)}, "
        f"{stats.high_memory_events:,} high-memory events, RSS {size(stats.rss_bytes)}"
    )


def _pauses(stats: Stats) -> str:
    p50, p99 = (duration(stats.pause_percentile_ns(q)) for q in (50, 99))
    return (
        f"total {duration(stats.pause_total_ns)}, mean {duration(stats.pause_mean_ns)}, "
        f"P50 {p50}, P99 {p99}, longest {duration(stats.pause_max_ns)}"
    )


def _settings() -> str:
    settings = Settings.current()
    return f"{'on' if settings.enabled else 'off'}, thresholds {settings.thresholds}"
