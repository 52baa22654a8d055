"""Statistics: of collections, requests and memory, at one moment."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from gcctl._auto.stats import AutoStats
from gcctl._base.public import public
from gcctl._base.record import field_names, record
from gcctl._concurrent.coordinator import ConcurrentStats
from gcctl._core import histogram
from gcctl._core.records import ByReason, Event, GenerationTotals, Snapshot
from gcctl._interpreter.explicit_calls import ExplicitCaller
from gcctl._memory.memory_event import MemoryEvent
from gcctl._memory.recycling import RecycleAdvice
from gcctl._monitor.alerts import Alert, AlertCounts, Alerts

if TYPE_CHECKING:
    from gcctl._memory.limits import Used

SAMPLES_KEPT = 120
SAMPLE_NS = 10**9
"""Shortest time between two memory samples that are kept. Mean and peak count every sample."""

MEMORY_EVENTS_KEPT = 32


@public
@record()
class CollectionStats:
    """Figures of several collections together, such as those of one generation.

    Durations are nanoseconds.
    """

    collections: int = 0
    objects_collected: int = 0
    """Unreachable objects found."""
    pause_total_ns: int = 0
    pause_max_ns: int = 0
    pause_histogram: tuple[tuple[int, int], ...] = ()
    """(bucket, count) of each bucket that is not empty; `histogram.bounds` gives its range."""

    @property
    def pause_mean_ns(self) -> int:
        return self.pause_total_ns // self.collections if self.collections else 0

    def pause_percentile_ns(self, q: float) -> int:
        """The pause in nanoseconds that `q` % of the collections did not exceed, `q` from 0 to 100.

        The error is at most 1/16 between 1 µs and 100 s, and none for 100. Raises ValueError for
        another `q`.
        """
        return histogram.percentile(self.pause_histogram, q, longest=self.pause_max_ns)

    @property
    def objects_per_ms(self) -> float:
        """The yield: unreachable objects found per millisecond of pause."""
        return self.objects_collected * 1e6 / self.pause_total_ns if self.pause_total_ns else 0.0


@public
@record()
class MinuteStats(CollectionStats):
    """The collections of the last minute; more exactly, of the last 55 to 60 seconds."""

    collections_by_generation: tuple[int, int, int] = (0, 0, 0)


@public
class MemorySample(NamedTuple):
    time_ns: int
    """When, in nanoseconds of the monotonic clock."""
    rss_bytes: int


@public
@record()
class Stats(CollectionStats):
    """All counters at one moment, since `install()`, or in a forked child since the fork.

    All zero when gcctl is not installed. Durations are nanoseconds, sizes are bytes.
    """

    policy: str | None = None
    """The policy in force: `off` where gcctl does not know the collector."""
    left_alone: str = ""
    """Why gcctl only measures, although another policy was asked for; "": it does not."""
    implementation: str = ""
    """The core that is used: "c" or "python"."""
    elapsed_ns: int = 0
    cpu_ns: int = 0
    """CPU time of the process since then, all threads together."""
    requests: int = 0
    """Finished requests, each `tick()` included."""
    failures: int = 0
    """Requests that ended by an `Exception`."""
    in_flight: int = 0
    """Requests that have begun and not ended."""
    unmatched_exits: int = 0
    """Ends of requests that had not begun. They are ignored, but a sign of a hook in the wrong
    place."""
    faults: int = 0
    """Errors inside gcctl that were kept away from requests."""
    generations: tuple[CollectionStats, CollectionStats, CollectionStats] = (
        CollectionStats(),
        CollectionStats(),
        CollectionStats(),
    )
    """The collections of each generation."""
    collections_by_reason: ByReason = ByReason()
    """Why they ran: scheduled, emergency, pressure, requested (by a call of gcctl), automatic (by
    the interpreter), explicit (a `gc.collect()` of the program or its libraries). The last two are
    seen with `monitoring`, or under `auto`."""
    explicit_callers: tuple[ExplicitCaller, ...] = ()
    """Who calls `gc.collect()`: the callers with the longest pauses in all, at most ten."""
    auto: AutoStats | None = None
    """What the policy `auto` knows and has done last; None under another policy."""
    concurrent: ConcurrentStats = ConcurrentStats()
    """Concurrent full collections, with CPU time and memory of their children."""
    last_minute: MinuteStats = MinuteStats()
    rss_bytes: int = 0
    """Resident set size of the process now; 0 where the system does not tell."""
    rss_mean_bytes: int = 0
    """Mean of all samples: one per check, so at most one every `check_interval`, and one now."""
    rss_peak_bytes: int = 0
    memory_samples: tuple[MemorySample, ...] = ()
    """The last samples, oldest first; at most 120, at least a second apart."""
    memory_limited: str = ""
    """What `memory_limit` is compared with: "RSS", a control group or "physical memory"; "" without
    a limit."""
    memory_used_bytes: int = 0
    memory_limit_bytes: int = 0
    memory_stalled_share: float = 0.0
    """Share of the last 10 s in which some task of the control group, or of the machine, waited for
    memory (PSI); 0 where the kernel does not tell, or without a limit."""
    high_memory: bool = False
    """Whether high-memory mode is on now."""
    high_memory_events: int = 0
    """How often that mode was entered."""
    memory_events: tuple[MemoryEvent, ...] = ()
    """The last aggressive collections, oldest first; at most 32."""
    alerts: tuple[Alert, ...] = ()
    """The last alerts, oldest first; at most 32."""
    alert_counts: AlertCounts = AlertCounts()
    """All alerts, also those that were suppressed because they came too often."""
    recycle_advice: RecycleAdvice | None = None

    @property
    def collections_by_generation(self) -> tuple[int, int, int]:
        young, middle, old = self.generations
        return young.collections, middle.collections, old.collections

    @property
    def pause_share(self) -> float:
        """Share of elapsed time that the process was paused."""
        return self.pause_total_ns / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def gc_cpu_share(self) -> float:
        """Share of CPU time that went into GC: pauses, and the children of concurrent collections,
        over the CPU time of the process and those children.

        Pauses are measured by the wall clock, so this is too high on a busy machine.
        """
        gc_ns = self.pause_total_ns + self.concurrent.child_cpu_ns
        return gc_ns / (self.cpu_ns + self.concurrent.child_cpu_ns) if self.cpu_ns else 0.0


def collection_counters(totals: GenerationTotals) -> dict[str, Any]:
    """The fields of CollectionStats."""
    return {
        "collections": totals.collections,
        "objects_collected": totals.collected,
        "pause_total_ns": totals.pause_total_ns,
        "pause_max_ns": totals.pause_max_ns,
        "pause_histogram": totals.pauses,
    }


def added_up(generations: tuple[GenerationTotals, ...]) -> GenerationTotals:
    """The totals of several generations together."""
    pauses: Counter[int] = Counter()
    for totals in generations:
        pauses.update(dict(totals.pauses))
    return GenerationTotals(
        sum(totals.collections for totals in generations),
        sum(totals.collected for totals in generations),
        sum(totals.pause_total_ns for totals in generations),
        max(totals.pause_max_ns for totals in generations),
        tuple(sorted(pauses.items())),
    )


def core_counters(snapshot: Snapshot) -> dict[str, Any]:
    """The fields of Stats that a core keeps."""
    minute = snapshot.last_minute
    own = {*field_names(Stats)}
    return {
        **{name: value for name, value in snapshot._asdict().items() if name in own},
        **collection_counters(added_up(snapshot.generations)),
        "generations": tuple(
            CollectionStats(**collection_counters(totals)) for totals in snapshot.generations
        ),
        "collections_by_reason": snapshot.by_reason,
        "last_minute": MinuteStats(
            **collection_counters(minute.totals), collections_by_generation=minute.collections
        ),
    }


class Monitor:
    """What is counted outside the core: elapsed time, CPU time, memory, alerts."""

    def __init__(self, now_ns: int) -> None:
        self.alerts = Alerts()
        self.clear(now_ns)

    def clear(self, now_ns: int) -> None:
        self._since_ns = now_ns
        self._cpu_since_ns = time.process_time_ns()
        self._rss_total = 0
        self._rss_peak = 0
        self._samples_taken = 0
        self._samples: deque[MemorySample] = deque(maxlen=SAMPLES_KEPT)
        self._memory_events: deque[MemoryEvent] = deque(maxlen=MEMORY_EVENTS_KEPT)

    def after_fork(self, now_ns: int) -> None:
        self.clear(now_ns)
        self.alerts.after_fork()

    def sample(self, now_ns: int, rss_bytes: int) -> None:
        self._samples_taken += 1
        self._rss_total += rss_bytes
        self._rss_peak = max(self._rss_peak, rss_bytes)
        if not self._samples or now_ns >= self._samples[-1].time_ns + SAMPLE_NS:
            self._samples.append(MemorySample(now_ns, rss_bytes))

    def memory_event(self, event: MemoryEvent) -> None:
        self._memory_events.append(event)
        self._rss_peak = max(self._rss_peak, event.rss_before_bytes)

    def counters(self, now_ns: int, used: Used | None) -> dict[str, Any]:
        """The fields of Stats that are counted here; `used` is the memory against its limit."""
        return {
            "elapsed_ns": now_ns - self._since_ns,
            "cpu_ns": time.process_time_ns() - self._cpu_since_ns,
            "rss_mean_bytes": self._rss_total // max(self._samples_taken, 1),
            "rss_peak_bytes": self._rss_peak,
            # Copied first: while a tuple is being made, a finalizer may run that calls stats().
            "memory_samples": tuple(self._samples.copy()),
            "memory_limited": used.what if used else "",
            "memory_used_bytes": used.bytes if used else 0,
            "memory_limit_bytes": used.limit_bytes if used else 0,
            "memory_events": tuple(self._memory_events.copy()),
            "alerts": self.alerts.kept,
            "alert_counts": self.alerts.counts,
        }


def long_pause_message(event: Event, max_pause_ns: int) -> str:
    at_boundary = event.reason in ("scheduled", "emergency")
    where = "a request boundary" if at_boundary else "the process"
    return (
        f"{where} paused {event.pause_ns / 1e6:.1f} ms, over max_pause {max_pause_ns / 1e6:g} ms: "
        f"generation {event.generation} collected {event.collected} objects "
        f"({event.reason}, {event.in_flight} requests in flight)"
    )
