"""From measured values to rows.

Ratios and differences are taken within each round, between blocks that ran within milliseconds of
each other, and then their median: a neighbour that slows the machine for a second slows both sides.

The quiet time is the one below which the quickest twentieth of the rounds stays. It tells what the
median would be with nobody else on the machine, and no target is judged by it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial

from bench.boundary.cases import FLOOR, PSUTIL, SOURCE, TWIN, Case
from bench.support.figures import Row
from bench.support.subjects import CPYTHON, C

Values = dict[str, list[float]]
"""Seconds per statement by name of the case; all lists in the order of the same rounds."""

NS = 1e9

QUIET = 0.05
"""The share of the rounds that are taken to have been left alone by neighbours."""


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def quiet(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * QUIET)]


def rows_of(cases: Sequence[Case], values: Values) -> list[Row]:
    """A row per case: nanoseconds, the ratio to the group's cheapest floor, and how many times
    cheaper it is than the tutorial's context, or than the cheapest statement of psutil."""
    rows = []
    for each in cases:
        mine = values[each.name]
        floor, source, psutil = (
            cheapest(cases, values, each.group, subject) for subject in (FLOOR, SOURCE, PSUTIL)
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


def cheapest(cases: Sequence[Case], values: Values, group: str, subject: str) -> list[float] | None:
    """The values of the subject's cheapest statement in the group; None if it has none there."""
    fits = [values[c.name] for c in cases if c.group == group and c.subject == subject]
    return min(fits, key=statistics.median, default=None)


def find(
    cases: Sequence[Case], values: Values, group: str, subject: str, part: str = ""
) -> list[float]:
    """The values of the first case that has this in its statement."""
    fits = (c for c in cases if c.group == group and c.subject == subject)
    return values[next(c.name for c in fits if part in c.statement)]


def recording(cases: Sequence[Case], values: Values) -> list[Row]:
    """What measuring and recording one pause adds to the collection, and how that is worked out.

    For a collection of gcctl's own: the boundary that collects, less the boundary that does not,
    less the collection itself. That is called from Cython, as the core calls it, and the call into
    Cython is taken off. No callback is registered meanwhile. So all that the core does for its own
    collection is in the difference.

    For somebody else's collection: the time with gcctl's callback, less the time with an empty one.
    For any callback CPython makes a dict and two calls, which is not gcctl's part. The difference
    to no callback at all is a row of its own.
    """

    value = partial(find, cases, values)
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


def monitoring(cases: Sequence[Case], values: Values) -> list[Row]:
    """What monitoring adds to a boundary that collects generation 0."""
    value = partial(find, cases, values, "monitoring", C)
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
