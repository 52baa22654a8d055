"""What a check measures (memory, GC settings, rate of collections), and the alerts for it."""

from __future__ import annotations

from gcctl._base.units import size
from gcctl._lifecycle.parts import Parts
from gcctl._memory.resident import own_bytes

SETTINGS_NS = 10**9
"""Shortest time between two checks of the GC settings, or of the number of collections."""


class Sampler:
    """Samples for one installation. It collects nothing."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings_at = self._frequency_at = parts.core.now()

    def sample(self, rss: int) -> None:
        """Memory and the GC settings."""
        now = self._parts.core.now()
        self._sample_memory(now, rss)
        self._check_settings(now)
        self._parts.no_requests.check()

    def sample_when_due(self, rss: int) -> None:
        """Memory, and the GC settings if they were not checked within the last second."""
        now = self._parts.core.now()
        self._sample_memory(now, rss)
        if now >= self._settings_at:
            self._check_settings(now)

    def _sample_memory(self, now: int, rss: int) -> None:
        parts = self._parts
        parts.monitor.sample(now, rss)
        parts.monitor.alerts.resume()
        parts.recycling.resume()
        above = parts.recycling.above_bytes
        # The quick number first: own memory is a part of it.
        if above is not None and rss > above and (own := own_bytes(parts.memory)) > above:
            parts.recycling.advise("rss", f"RSS {size(own)} without files, over {size(above)}")
        parts.core.tell_long_pause()

    def _check_settings(self, now: int) -> None:
        self._settings_at = now + SETTINGS_NS
        watch = self._parts.watch
        changes = watch.changes() if watch is not None else ()
        if changes:
            message = f"somebody changed the GC: {'; '.join(changes)}"
            self._parts.alert("gc_settings_changed", now, message)
        if now >= self._frequency_at:
            self._frequency_at = now + SETTINGS_NS
            self._check_frequency(now)

    def _check_frequency(self, now: int) -> None:
        config = self._parts.config
        most = config.max_collections_per_minute
        if most is None or not config.monitoring:
            return
        _, middle, old = self._parts.core.snapshot().last_minute.collections
        if middle + old > most:
            message = (
                f"{middle + old:,} collections of generations 1 and 2 in the last minute "
                f"({middle:,} and {old:,}), over max_collections_per_minute {most:,}"
            )
            self._parts.alert("gc_frequency", now, message)
