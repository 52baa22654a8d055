"""From trials to what is shown and judged: medians over rounds, and ratios within a round.

The trials of a round ran one after the other with the same requests, so a neighbour that slows the
machine for some minutes slows both sides of a ratio.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from bench.service.modes import AUTOMATIC
from bench.support.figures import Row

RESAMPLES = 5_000
CONFIDENCE = 0.95

RATIOS = ("p99_ns", "p50_ns", "gc_ns", "rss_bytes", "cpu_ns")
"""The figures that are compared with automatic GC."""

POINTS = 60
"""Points of the curve of latencies, from the median to the worst, evenly on the axis of a plot."""


class Interval(NamedTuple):
    """A median, and the interval in which it lies with 95 % confidence."""

    median: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """By bootstrap: from medians of as many values, drawn with replacement. A few rounds give about
    the range of the values, a single round gives no interval at all."""
    chance = random.Random(5)
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    beyond = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Interval(statistics.median(values), medians[beyond], medians[-1 - beyond])


def summary(rounds: list[Row], automatic: list[Row] | None) -> Row:
    """A row for a mode: medians of the numbers, the worst of the longest, and ratios to automatic
    GC in the same rounds."""
    row: Row = {
        name: statistics.median(trial[name] for trial in rounds)
        for name, value in rounds[0].items()
        if isinstance(value, int | float)
    }
    row["collections"] = [
        statistics.median(counts)
        for counts in zip(*(t["collections"] for t in rounds), strict=True)
    ]
    row["rounds"] = len(rounds)
    row["errors"] = sum(trial["errors"] for trial in rounds)
    row["error_kinds"] = merged([trial["error_kinds"] for trial in rounds])
    row["longest_of_all_cpu_ns"] = max(trial["longest_cpu_ns"] for trial in rounds)
    row["curve"] = curve(sorted(ns for trial in rounds for ns in trial["latencies_ns"]))
    for name in RATIOS if automatic else ():
        pairs = zip(rounds, automatic or [], strict=True)
        ratios = [mine[name] / other[name] for mine, other in pairs if other[name]]
        row[f"times_{name}"] = interval(ratios)._asdict() if ratios else None
    return row


def merged(counts: list[dict[str, int]]) -> dict[str, int]:
    kinds = sorted({kind for each in counts for kind in each})
    return {kind: sum(each.get(kind, 0) for each in counts) for kind in kinds}


def curve(latencies: Sequence[int]) -> list[tuple[float, int]]:
    """Pairs of the share of requests that took longer, and a latency in ns; over all rounds."""
    step = (2 / len(latencies)) ** (1 / POINTS)
    beyond = [0.5 * step**point for point in range(POINTS + 1)]
    return [(share, latencies[int((1 - share) * (len(latencies) - 1))]) for share in beyond]


def summaries(trials: dict[str, list[Row]]) -> dict[str, Row]:
    """A summary for each mode. The lists of all modes are in the order of the same rounds."""
    automatic = trials.get(AUTOMATIC)
    return {mode: summary(rounds, automatic) for mode, rounds in trials.items()}
