"""Alerts: what operators want to know, but no more often than is useful."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gcctl._base import log
from gcctl._base.callbacks import Callback, CallbackThread
from gcctl._base.public import public
from gcctl._base.record import record

AlertKind = Literal["long_gc_pause", "high_memory", "gc_frequency", "gc_settings_changed"]

KEPT = 32
MINUTE_NS = 60 * 10**9
SHORTEST_NS, LONGEST_NS = MINUTE_NS, 60 * MINUTE_NS
"""Time between two alerts of the same kind. It starts with the shortest and doubles up to the
longest, as long as alerts keep coming. So an hour of trouble is six lines in the log."""


@public
class AlertCounts(NamedTuple):
    """A count for each kind of alert; `Alert.kind` says what they mean."""

    long_gc_pause: int = 0
    high_memory: int = 0
    gc_frequency: int = 0
    gc_settings_changed: int = 0


@public
@record()
class Alert:
    """Something that whoever runs the service may want to know: see `Controller.on_alert`."""

    kind: str
    """`long_gc_pause`: a collection took longer than `max_pause`. `high_memory`: memory went over
    `memory_limit`. `gc_frequency`: more collections of generation 1 and older in a minute than
    `max_collections_per_minute`. `gc_settings_changed`: somebody else changed what `gc` is set to.
    """
    time_ns: int
    """When, in nanoseconds of the monotonic clock."""
    message: str
    suppressed: int = 0
    """Alerts of this kind that were left out since the last one, because they came too often."""


class _Limit:
    """Decides when the next alert of a kind may be told."""

    def __init__(self) -> None:
        self._next_ns: int | None = None
        self._interval_ns = SHORTEST_NS
        self.count = 0
        self.suppressed = 0

    def passes(self, now_ns: int) -> bool:
        # One step, also when several threads come here at once, because nothing is called.
        self.count += 1
        interval_ns = SHORTEST_NS
        if self._next_ns is not None:
            if now_ns < self._next_ns:
                self.suppressed += 1
                return False
            # Else there was no alert for as long again: it starts with the shortest.
            if now_ns < self._next_ns + self._interval_ns:
                interval_ns = self._interval_ns * 2
        if interval_ns > LONGEST_NS:
            interval_ns = LONGEST_NS
        self._interval_ns = interval_ns
        self._next_ns = now_ns + interval_ns
        return True


class Alerts:
    """Counts all alerts. Logs, keeps and delivers those that do not come too often."""

    def __init__(self) -> None:
        self._callbacks: CallbackThread[Alert] = CallbackThread("alerts")
        self.clear()

    def clear(self) -> None:
        self._kept: tuple[Alert, ...] = ()
        self._limits = {kind: _Limit() for kind in AlertCounts._fields}

    @property
    def kept(self) -> tuple[Alert, ...]:
        """The last ones, oldest first."""
        return self._kept

    @property
    def counts(self) -> AlertCounts:
        """All alerts, also those that were suppressed."""
        return AlertCounts(**{kind: limit.count for kind, limit in self._limits.items()})

    def add_callback(self, callback: Callback[Alert]) -> None:
        self._callbacks.add(callback)

    def add(self, kind: AlertKind, time_ns: int, message: str) -> None:
        limit = self._limits[kind]
        if not limit.passes(time_ns):
            return
        suppressed, limit.suppressed = limit.suppressed, 0
        if suppressed:
            message = f"{message} (and {suppressed:,} more of this kind before it)"
        alert = Alert(kind, time_ns, message, suppressed)
        self._kept = (*self._kept, alert)[-KEPT:]
        self._callbacks.send(alert)
        log.warning("%s", message)

    def resume(self) -> None:
        self._callbacks.resume()

    def finish(self, seconds: float) -> None:
        self._callbacks.finish(seconds)

    def after_fork(self) -> None:
        self.clear()
        self._callbacks.after_fork()
