"""Collections turned into statistics and alerts."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass

from gcctl import histogram
from gcctl._protocol import ByReason, Event, Snapshot

logger = logging.getLogger("gcctl")

ALERTS_KEPT = 32


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that whoever runs the service may want to know."""

    kind: str
    """`long_gc_pause`: a collection at a boundary took longer than `max_pause`."""
    time_ns: int
    """When, on the monotonic clock."""
    message: str


@dataclass(frozen=True, slots=True)
class Stats:
    """All counters at one moment, since `install()` (in a forked child, since the fork).

    All zero when nothing is installed. Durations are nanoseconds, sizes bytes.
    """

    policy: str | None = None
    implementation: str = ""
    """The core at work: "c" or "python"."""
    requests: int = 0
    """Finished requests: contexts left, and ticks."""
    failures: int = 0
    """Requests left by an exception."""
    in_flight: int = 0
    """Requests entered and not yet left."""
    unmatched_exits: int = 0
    """Exits that had no request to leave: ignored, but a sign of a hook in the wrong place."""
    faults: int = 0
    """Errors inside gcctl that were kept away from a request."""
    collections: int = 0
    collections_by_generation: tuple[int, int, int] = (0, 0, 0)
    collections_by_reason: ByReason = ByReason()  # noqa: RUF009 (immutable)
    """Why they ran: scheduled, emergency, requested (by a call of gcctl), external (automatic GC,
    or somebody else's `gc.collect()`; with `monitoring` only)."""
    objects_collected: int = 0
    """Unreachable objects found."""
    objects_collected_by_generation: tuple[int, int, int] = (0, 0, 0)
    pause_total_ns: int = 0
    pause_max_ns: int = 0
    pause_total_ns_by_generation: tuple[int, int, int] = (0, 0, 0)
    pause_max_ns_by_generation: tuple[int, int, int] = (0, 0, 0)
    pause_histogram: tuple[tuple[int, int], ...] = ()
    """(bucket, count) of each bucket that has any; `gcctl.histogram.bounds` gives its range."""
    high_memory_events: int = 0
    rss_bytes: int = 0
    """Resident set size of the process now; 0 where the system does not tell."""
    alerts: tuple[Alert, ...] = ()
    """The last ones, oldest first; at most 32."""

    @property
    def pause_mean_ns(self) -> int:
        return self.pause_total_ns // self.collections if self.collections else 0

    def pause_percentile_ns(self, q: float) -> int:
        """The pause that `q` % of the collections did not exceed, `q` from 0 to 100.

        At most 1/16 off between 1 µs and 100 s; exact for 100. Raises ValueError for another `q`.
        """
        return histogram.percentile(self.pause_histogram, q, longest=self.pause_max_ns)


def make_stats(
    snapshot: Snapshot,
    *,
    policy: str,
    implementation: str,
    rss_bytes: int,
    alerts: tuple[Alert, ...],
) -> Stats:
    """The statistics that a core's counters amount to."""
    generations = snapshot.generations
    pauses: Counter[int] = Counter()
    for totals in generations:
        pauses.update(dict(totals.pauses))

    def each(name: str) -> tuple[int, int, int]:
        young, middle, old = (getattr(totals, name) for totals in generations)
        return young, middle, old

    return Stats(
        policy=policy,
        implementation=implementation,
        requests=snapshot.requests,
        failures=snapshot.failures,
        in_flight=snapshot.in_flight,
        unmatched_exits=snapshot.unmatched_exits,
        faults=snapshot.faults,
        collections=sum(each("collections")),
        collections_by_generation=each("collections"),
        collections_by_reason=snapshot.by_reason,
        objects_collected=sum(each("collected")),
        objects_collected_by_generation=each("collected"),
        pause_total_ns=sum(each("pause_total_ns")),
        pause_max_ns=max(each("pause_max_ns")),
        pause_total_ns_by_generation=each("pause_total_ns"),
        pause_max_ns_by_generation=each("pause_max_ns"),
        pause_histogram=tuple(sorted(pauses.items())),
        rss_bytes=rss_bytes,
        alerts=alerts,
    )


class Monitor:
    """Keeps the last alerts and logs each."""

    def __init__(self, max_pause_ns: int) -> None:
        self._max_pause_ns = max_pause_ns
        self._alerts: deque[Alert] = deque(maxlen=ALERTS_KEPT)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(self._alerts)

    def clear(self) -> None:
        self._alerts.clear()

    def long_pause(self, event: Event) -> None:
        message = (
            f"a request boundary paused {event.pause_ns / 1e6:.1f} ms, over max_pause "
            f"{self._max_pause_ns / 1e6:g} ms: generation {event.generation} collected "
            f"{event.collected} objects ({event.reason}, {event.in_flight} requests in flight)"
        )
        self._alerts.append(Alert("long_gc_pause", event.time_ns, message))
        logger.warning("%s", message)
