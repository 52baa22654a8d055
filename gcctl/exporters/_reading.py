"""The numbers that a process exports at one moment, in a form that can be added up and stored."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from importlib import metadata
from typing import NamedTuple

from gcctl._monitor.statistics import Stats
from gcctl.exporters._metrics import METRICS, PAUSE_BOUNDS_NS, pause_counts

Numbers = dict[str, dict[str, int]]
"""Numbers by metric, and by the value of its label."""


class Reading(NamedTuple):
    counters: Numbers
    """They only grow, as long as the process does not begin anew."""
    pauses: dict[str, list[int]]
    """By generation: the counts between bounds, and last the sum in nanoseconds."""
    gauges: Numbers
    """Gauges and levels."""
    info: dict[str, str]

    def encode(self) -> bytes:
        return json.dumps(self, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, content: bytes) -> Reading:
        """Raises ValueError for content that this version of gcctl would not encode."""
        try:
            reading = cls(*json.loads(content))
            rows = (*reading.counters.values(), *reading.gauges.values())
            numbers = [value for row in rows for value in row.values()]
            numbers += [count for counts in reading.pauses.values() for count in counts]
            lengths = {len(counts) for counts in reading.pauses.values()}
            texts = reading.info.values()
        except (AttributeError, TypeError) as error:
            raise ValueError(f"not a record of this version: {error}") from error
        whole = all(isinstance(n, int) for n in numbers) and all(isinstance(t, str) for t in texts)
        if not whole or not lengths <= {len(PAUSE_BOUNDS_NS) + 2}:
            raise ValueError("not a record of this version")
        return reading


NOTHING = Reading({}, {}, {}, {})


def read(stats: Stats) -> Reading:
    """The numbers of these statistics; `NOTHING` where gcctl was not installed."""
    if stats.policy is None:
        return NOTHING
    counters: Numbers = {}
    gauges: Numbers = {}
    for metric in METRICS:
        into = counters if metric.kind == "counter" else gauges
        into[metric.name] = dict(metric.read(stats))
    return Reading(
        counters,
        {
            str(generation): [*pause_counts(totals.pause_histogram), totals.pause_total_ns]
            for generation, totals in enumerate(stats.generations)
        },
        gauges,
        {
            "policy": stats.policy,
            "implementation": stats.implementation,
            "version": version(),
        },
    )


@functools.cache
def version() -> str:
    """The version of gcctl; "unknown" without its metadata, as in a frozen program."""
    try:
        return metadata.version("gcctl")
    except metadata.PackageNotFoundError:
        return "unknown"


def total(readings: Iterable[Reading]) -> Reading:
    """The sum of their counters and pauses. Gauges and info have no sum, and are left out."""
    counters: Numbers = {}
    pauses: dict[str, list[int]] = {}
    for reading in readings:
        for name, values in reading.counters.items():
            into = counters.setdefault(name, {})
            for label, value in values.items():
                into[label] = into.get(label, 0) + value
        for generation, counts in reading.pauses.items():
            before = pauses.get(generation) or [0] * len(counts)
            pauses[generation] = [a + b for a, b in zip(before, counts, strict=True)]
    return Reading(counters, pauses, {}, {})


def negative(reading: Reading) -> Reading:
    """Its counters and pauses with the sign changed: adding it subtracts the reading."""
    return Reading(
        {name: {k: -v for k, v in values.items()} for name, values in reading.counters.items()},
        {generation: [-count for count in counts] for generation, counts in reading.pauses.items()},
        {},
        {},
    )
