"""What a run of a test suite spent on garbage collection, compared with an earlier run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from gcctl._base.units import duration
from gcctl._monitor.statistics import Stats

KEY: Final = "gcctl/baselines"
KEPT: Final = 8
"""How many selections of tests keep their last measurement."""


class Collected(NamedTuple):
    """The collections of one process, or of all processes of a run. Times are nanoseconds."""

    pause_ns: int = 0
    inside_ns: int = 0
    """The part of `pause_ns` that came while a test ran, fixtures included."""
    longest_ns: int = 0
    child_cpu_ns: int = 0
    """CPU time of concurrent collections, beside the process."""
    young: int = 0
    middle: int = 0
    full: int = 0

    @classmethod
    def of(cls, stats: Stats, inside_ns: int) -> Collected:
        return cls(
            stats.pause_total_ns,
            inside_ns,
            stats.pause_max_ns,
            stats.concurrent.child_cpu_ns,
            *stats.collections_by_generation,
        )

    @classmethod
    def total(cls, processes: Sequence[Collected]) -> Collected:
        if not processes:
            return cls()
        added = cls(*(sum(values) for values in zip(*processes, strict=True)))
        return added._replace(longest_ns=max(process.longest_ns for process in processes))

    @property
    def collections(self) -> int:
        return self.young + self.middle + self.full


class Baseline(NamedTuple):
    """What automatic GC did over the same tests."""

    pause_ns: int
    collections: int
    seconds: float
    """Of the whole run."""
    when: str


class Baselines:
    """Measurements of automatic GC in pytest's cache, one for each selection of tests."""

    def __init__(self, cache: Any, what: str) -> None:
        self._cache = cache
        self._what = f"{sys.implementation.cache_tag}-{what}"

    def find(self) -> Baseline | None:
        match self._all().get(self._what):
            case [int(pause_ns), int(collections), int() | float() as seconds, str(when)]:
                return Baseline(pause_ns, collections, seconds, when)
        return None

    def keep(self, run: Collected, seconds: float) -> None:
        if self._cache is None:
            return
        when = datetime.now().isoformat(" ", "minutes")
        others = {what: old for what, old in self._all().items() if what != self._what}
        kept = dict(list(others.items())[1 - KEPT :])
        kept[self._what] = list(Baseline(run.pause_ns, run.collections, seconds, when))
        self._cache.set(KEY, kept)

    def _all(self) -> dict[str, Any]:
        found = self._cache.get(KEY, {}) if self._cache is not None else {}
        return found if isinstance(found, dict) else {}  # anybody can write that file


def lines(
    policy: str, run: Collected, seconds: float, tests: int, baseline: Baseline | None
) -> Iterator[str]:
    yield (
        f"{duration(run.pause_ns)} of {seconds:.2f} s went into {run.collections:,} collections "
        f"({run.young:,}, {run.middle:,} and {run.full:,} of generations 0, 1 and 2); "
        f"longest pause {duration(run.longest_ns)}"
    )
    yield f"{duration(run.inside_ns)} of it was inside one of the {tests:,} tests"
    if run.child_cpu_ns:
        yield f"concurrent collections took {duration(run.child_cpu_ns)} of CPU time beside it"
    if policy == "off":
        yield "kept for comparison: automatic GC. Now run it with --gcctl"
    elif baseline is None:
        yield "time saved: unknown; --gcctl-policy=off measures automatic GC over the same tests"
    else:
        saved_ns = baseline.pause_ns - run.pause_ns
        yield (
            f"time saved: {'' if saved_ns >= 0 else '-'}{duration(abs(saved_ns))} in pauses; "
            f"automatic GC took {duration(baseline.pause_ns)} in {baseline.collections:,} "
            f"collections, of {baseline.seconds:.2f} s (same tests, {baseline.when})"
        )
