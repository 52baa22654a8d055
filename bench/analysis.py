"""From measured values to rows, and from rows to the targets.

Ratios and differences are taken within each round, between blocks that ran within milliseconds of
each other, and then their median: a neighbour that slows the machine for a second slows both sides.

The quiet time is the one below which the quickest twentieth of the rounds stays. It tells what the
median would be with nobody else on the machine, and no target is judged by it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from candidates import CPYTHON, FLOOR, SOURCE, TWIN, C, Candidate

Values = dict[str, list[float]]
"""Seconds per statement by name of the candidate; all lists in the order of the same rounds."""

Row = dict[str, Any]

NS = 1e9

QUIET = 0.05
"""Share of the rounds that are taken to have been left alone."""


class Target(NamedTuple):
    """Something to reach, whether it was, and whether a busy machine may spoil it."""

    name: str
    value: float
    limit: float
    unit: str
    at_most: bool = True
    timing: bool = True

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def quiet(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * QUIET)]


def rows_of(candidates: Sequence[Candidate], values: Values) -> list[Row]:
    """A row per candidate: nanoseconds, times the group's cheapest floor, and how many times
    cheaper than the source's rendering."""
    rows = []
    for each in candidates:
        floor, source = reference(candidates, values, each.group)
        mine = values[each.name]
        rows.append(
            {
                "group": each.group,
                "subject": each.subject,
                "statement": each.statement,
                "median_ns": statistics.median(mine) * NS,
                "quiet_ns": quiet(mine) * NS,
                "times_floor": ratio(mine, floor),
                "times_cheaper_than_source": ratio(source, mine) if source else None,
            }
        )
    return rows


def reference(
    candidates: Sequence[Candidate], values: Values, group: str
) -> tuple[list[float], list[float] | None]:
    """The cheapest floor of the group and the source's rendering in it, if it has one."""
    ours = [each for each in candidates if each.group == group]
    floors = [values[each.name] for each in ours if each.subject == FLOOR]
    sources = [values[each.name] for each in ours if each.subject == SOURCE]
    return min(floors, key=statistics.median), sources[0] if sources else None


def recording(candidates: Sequence[Candidate], values: Values) -> list[Row]:
    """What measuring and recording one pause adds to the collection, and how that is worked out.

    Of a collection of our own: the boundary that collects less the boundary that does not, less the
    collection itself, which is called from Cython as the core calls it, less the call into Cython.
    No callback is registered meanwhile, so whatever the core does about its own is in the
    difference.

    Of a collection of others: with gcctl's callback less with an empty one, because the dict and
    the two calls that CPython makes of it are the price of any callback; and less with none.
    """

    def value(group: str, subject: str, start: str = "") -> list[float]:
        fits = (c for c in candidates if c.group == group and c.subject == subject)
        return values[next(c.name for c in fits if c.statement.startswith(start))]

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


def targets(
    rows: list[Row], recorded: list[Row], memory: list[Row], accuracy: list[Row]
) -> list[Target]:
    """What the core has to reach, with what it did."""
    ours = [row for row in rows if row["subject"] == C]
    idle = next(row for row in ours if row["statement"] == "with gcctl.request(): pass")
    tick = next(row for row in ours if row["group"] == "tick")
    record = [row["median_ns"] for row in recorded if row["subject"] == C]
    asked = [
        row["allocations_per_boundary"]
        for row in memory
        if row["subject"] == C and row["group"] != "due"
    ]
    pauses = [row for row in accuracy if row["subject"] == C]
    agreeing = sum(row["agreeing"] for row in pauses) / sum(row["collections"] for row in pauses)
    faster = idle["times_cheaper_than_source"]
    return [
        Target(
            "boundary, nothing due: of the cheapest empty `with`", idle["times_floor"], 1.3, "x"
        ),
        Target("boundary, nothing due: cheaper than the source's", faster, 12, "x", at_most=False),
        Target("tick(): of the cheapest empty method call", tick["times_floor"], 3, "x"),
        Target("recording a pause of our own, over the collection", record[0], 100, "ns"),
        Target("recording a pause of others, over an empty callback", record[1], 100, "ns"),
        Target("memory asked for per request or tick", max(asked), 0, "times", timing=False),
        # All but a few: between two readings of a clock another process may have its turn.
        Target("pauses within 2 us or 2 % of a clock", agreeing * 100, 99, "%", at_most=False),
    ]
