"""From measured values to figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
"""A row of results, as `--json` writes it."""


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Where the median of the distribution lies with that confidence, whatever the distribution.

    The ends are two of the values: as many are below the one as above the other. Fewer than six
    values are never that sure; then the interval goes from the least to the greatest.
    """
    count, doubt = len(values), (1 - confidence) / 2

    def chance(most: int) -> float:
        """That no more than so many of the values are below the median: as with tossed coins."""
        return 0.5**count * sum(math.comb(count, number) for number in range(most + 1))

    dropped = 0
    while chance(dropped + 1) <= doubt:
        dropped += 1
    ordered = sorted(values)
    return ordered[dropped], ordered[-1 - dropped]


def medians(runs: list[Row]) -> Row:
    """One row from several runs of the same case: the median of each number."""
    return {
        name: statistics.median(run[name] for run in runs)
        if isinstance(value, int | float)
        else value
        for name, value in runs[0].items()
    }


def percentile(values: list[int], percent: int) -> int:
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def ends(samples: Sequence[int], warm_up: float) -> tuple[float, float]:
    """The medians of the first and of the last fifth of what comes after the warm-up.

    `warm_up` is a share of the samples.
    """
    judged = samples[round(len(samples) * warm_up) :]
    fifth = -(-len(judged) // 5)
    return statistics.median(judged[:fifth]), statistics.median(judged[-fifth:])
