"""Pauses one by one, for histograms that take only single values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from gcctl._base.clock import sleep
from gcctl._core import histogram
from gcctl._monitor.statistics import CollectionStats

GENERATION: Final = "cpython.gc.generation"

AT_ONCE: Final = 100
"""Values after which other threads get a turn. One value takes about 5 µs."""
TURN_SECONDS: Final = 0.0001

MOST: Final = 20_000
"""Values that are told at a time. The others are told the next time; none is lost."""

Record = Callable[[float, dict[str, int]], object]


class Pauses:
    """What was added to the core's histograms, told as single values in seconds.

    The core keeps the last 256 events only, but its histograms have all pauses. So each value
    stands for a pause in the same bucket, which is at most 1/16 wide. The values are chosen so that
    their sum is exact.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._recorded = 0
        self._told: WeakKeyDictionary[object, dict[int, Told]] = WeakKeyDictionary()

    def tell(self, whose: object, generations: Sequence[CollectionStats]) -> bool:
        """Tell the pauses that `whose` has counted since the last call. False: some are left.

        `whose` is an object that stands for one series of counts from zero, such as a controller.
        """
        left = MOST
        told_of = self._told.setdefault(whose, defaultdict(Told))
        for generation, stats in enumerate(generations):
            told = told_of[generation]
            new = told.missing(stats.pause_histogram)
            share = _share(new, stats.pause_total_ns - told.total_ns)
            for bucket, count in new:
                low, high = histogram.bounds(bucket)
                value_ns = low + share * (high - low)
                count = min(count, left)
                self._tell(value_ns / 1e9, generation, count)
                told.counts[bucket] += count
                told.total_ns += count * value_ns
                left -= count
        return left > 0

    def _tell(self, seconds: float, generation: int, count: int) -> None:
        for _ in range(count):
            self._record(seconds, {GENERATION: generation})
            self._recorded += 1
            if self._recorded % AT_ONCE == 0:
                sleep(TURN_SECONDS)


class Told:
    """What has been told of one generation."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.total_ns = 0.0

    def missing(self, pauses: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """(bucket, count) of the pauses that have not been told."""
        return [
            (bucket, count - self.counts[bucket])
            for bucket, count in pauses
            if count > self.counts[bucket]
        ]


def _share(counts: Sequence[tuple[int, int]], total_ns: float) -> float:
    """Where in its bucket each value has to be, from 0 (least) to 1 (greatest), so that the sum of
    all is `total_ns`."""
    ranges = [(*histogram.bounds(bucket), count) for bucket, count in counts]
    least = sum(low * count for low, _, count in ranges)
    greatest = sum(high * count for _, high, count in ranges)
    return min(max((total_ns - least) / (greatest - least), 0.0), 1.0) if greatest > least else 0.0
