"""From measured values to rows, and from rows to the targets.

Ratios and differences are taken within each round, between blocks that ran within milliseconds of
each other, and then their median: a neighbour that slows the machine for a second slows both sides.

The quiet time is the one below which the quickest twentieth of the rounds stays. It tells what the
median would be with nobody else on the machine, and no target is judged by it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from candidates import CPYTHON, FLOOR, PSUTIL, SOURCE, TWIN, C, Candidate

Values = dict[str, list[float]]
"""Seconds per statement by name of the candidate; all lists in the order of the same rounds."""

Row = dict[str, Any]

NS = 1e9

QUIET = 0.05
"""Share of the rounds that are taken to have been left alone."""


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Where the median of what the values were drawn from lies with that confidence, whatever the
    distribution: between two of the values, with as many below the one as above the other. Of less
    than six no two are that sure: then it is from the least to the greatest."""
    count, doubt = len(values), (1 - confidence) / 2

    def chance(most: int) -> float:
        """That no more than so many of the values are below the median: as with tossed coins."""
        return 0.5**count * sum(math.comb(count, number) for number in range(most + 1))

    dropped = 0
    while chance(dropped + 1) <= doubt:
        dropped += 1
    ordered = sorted(values)
    return ordered[dropped], ordered[-1 - dropped]


def quiet(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * QUIET)]


def rows_of(candidates: Sequence[Candidate], values: Values) -> list[Row]:
    """A row per candidate: nanoseconds, times the group's cheapest floor, and how many times
    cheaper than the source's rendering, or than the cheapest that psutil has."""
    rows = []
    for each in candidates:
        mine = values[each.name]
        floor, source, psutil = (
            cheapest(candidates, values, each.group, subject) for subject in (FLOOR, SOURCE, PSUTIL)
        )
        rows.append(
            {
                "group": each.group,
                "subject": each.subject,
                "statement": each.statement,
                "median_ns": statistics.median(mine) * NS,
                "quiet_ns": quiet(mine) * NS,
                "times_floor": ratio(mine, floor) if floor else None,
                "times_cheaper_than_source": ratio(source, mine) if source else None,
                "times_cheaper_than_psutil": ratio(psutil, mine) if psutil else None,
            }
        )
    return rows


def compare_batches(automatic: list[Row], batch: list[Row]) -> None:
    """Add what is to be compared to the runs of both, each with the one of the same round."""
    for subject, runs in ((CPYTHON, automatic), (C, batch)):
        for run, other in zip(runs, automatic, strict=True):
            run["subject"] = subject
            run["times_faster"] = other["seconds"] / run["seconds"]
            run["times_rss"] = run["rss_bytes"] / other["rss_bytes"]


def medians(runs: list[Row]) -> Row:
    """One row of several runs of the same: the median of each number."""
    return {
        name: statistics.median(run[name] for run in runs)
        if isinstance(value, int | float)
        else value
        for name, value in runs[0].items()
    }


def cheapest(
    candidates: Sequence[Candidate], values: Values, group: str, subject: str
) -> list[float] | None:
    """Of the subject's statements in the group the cheapest; None if it has none there."""
    fits = [values[c.name] for c in candidates if c.group == group and c.subject == subject]
    return min(fits, key=statistics.median, default=None)


def find(
    candidates: Sequence[Candidate], values: Values, group: str, subject: str, part: str = ""
) -> list[float]:
    """The first with this in its statement."""
    fits = (c for c in candidates if c.group == group and c.subject == subject)
    return values[next(c.name for c in fits if part in c.statement)]


def recording(candidates: Sequence[Candidate], values: Values) -> list[Row]:
    """What measuring and recording one pause adds to the collection, and how that is worked out.

    Of a collection of our own: the boundary that collects less the boundary that does not, less the
    collection itself, which is called from Cython as the core calls it, less the call into Cython.
    No callback is registered meanwhile, so whatever the core does about its own is in the
    difference.

    Of a collection of others: with gcctl's callback less with an empty one, because the dict and
    the two calls that CPython makes of it are the price of any callback; and less with none.
    """

    value = partial(find, candidates, values)
    empty, bare = value("tick", FLOOR, "methods"), value("due", FLOOR)
    rows = []
    for subject in (C, TWIN, SOURCE):
        terms = (value("due", subject), value("idle", subject), bare, empty)
        rows.append(_difference(subject, "own, over the collection", terms))
    for subject in (C, TWIN):
        mine = value("seen", subject)
        for base, what in ((FLOOR, "over an empty callback"), (CPYTHON, "over no callback")):
            terms = (mine, value("seen", base), empty, empty)  # there is no further difference
            rows.append(_difference(subject, f"seen, {what}", terms))
    return rows


def monitoring(candidates: Sequence[Candidate], values: Values) -> list[Row]:
    """What monitoring adds to a boundary that collects generation 0."""
    value = partial(find, candidates, values, "monitoring", C)
    on, off = value("# monitored"), value("# not monitored")
    return [_difference(C, "own, monitored over not monitored", (on, off, off, off))]


def _difference(subject: str, what: str, terms: tuple[list[float], ...]) -> Row:
    """first - second - (third - fourth), of each round and of the quiet times."""

    def extra(first: float, second: float, third: float, fourth: float) -> float:
        return (first - second - (third - fourth)) * NS

    each = [extra(*parts) for parts in zip(*terms, strict=True)]
    low, median, high = statistics.quantiles(each, n=4)
    return {
        "subject": subject,
        "collection": what,
        "median_ns": median,
        "quartiles_ns": [low, high],
        "quiet_ns": extra(*(quiet(term) for term in terms)),
    }
