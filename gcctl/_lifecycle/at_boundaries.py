"""What an installation does at boundaries, when the core says that something is due there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from gcctl._base import log
from gcctl._base.late import importing
from gcctl._base.units import size
from gcctl._concurrent.collection import NEVER_BEGAN
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import turn
from gcctl._core.protocol import Kind
from gcctl._core.records import REASONS, Event
from gcctl._interpreter.collector import COLLECTOR
from gcctl._lifecycle.controller import Controller
from gcctl._lifecycle.hold import sections
from gcctl._lifecycle.observers import tell_observers
from gcctl._lifecycle.parts import Parts
from gcctl._lifecycle.sampling import Sampler
from gcctl._memory.memory_event import MemoryEvent
from gcctl._monitor.statistics import Stats, long_pause_message

FULL = 2
SCHEDULED = REASONS.index("scheduled")
DID_NOT_RUN = -1
PRESSURE = REASONS.index("pressure")


class AtBoundaries:
    """The answer to each kind of notification, and what pressure and the schedule call for."""

    def __init__(self, parts: Parts, sampler: Sampler, controller: Controller) -> None:
        self._parts = parts
        self._sampler = sampler
        self._controller = controller

    def notify(self, kind: Kind, event: Event | None) -> None:
        """As `Core.start()` takes it: `kind` is what is due, `event` the collection that it is
        about, if it is about one."""
        parts = self._parts
        if kind == "report":
            log_line("%s", self._controller.stats)
        elif kind == "sweep_step":
            coordinator.sweep_step()
        elif kind == "full":
            fulls = parts.fulls
            if fulls is not None:
                fulls.due(parts.core.now())
        elif kind == "recycle":
            served = f"{parts.core.snapshot().requests:,} requests served"
            parts.recycling.advise("requests", served)
        elif kind == "check":
            self._check(parts.rss())
        elif kind == "external":
            if parts.auto is not None and event is not None:
                parts.auto.note_collection(event)
                if parts.no_requests.is_due():
                    parts.auto.ask()
        elif kind == "explicit_full":
            if parts.auto is not None:
                parts.auto.note_explicit_full()
        elif event is not None:
            message = long_pause_message(event, parts.config.max_pause_ns)
            parts.alert("long_gc_pause", event.time_ns, message)

    def _check(self, rss: int) -> None:
        """Each part, even where another one raises."""
        parts = self._parts
        now = parts.core.now()
        with ExitStack() as last_first:
            last_first.callback(tell_observers, self._controller, ended=False, on_error=parts.fault)
            if parts.fulls is not None:
                last_first.callback(parts.fulls.begin_waiting, now)
            if parts.auto is not None:
                last_first.callback(parts.auto.check, rss)
            if parts.pressure is not None:
                last_first.callback(parts.pressure.refresh_and_check)
            last_first.callback(sections.end_overdue)
            self._sampler.sample_when_due(rss)

    def begin_full(self) -> bool:
        """Begin a full collection of the schedule. False where another collection prevents it."""
        if self._parts.config.full_collection == "concurrent":
            return coordinator.start(SCHEDULED).outcome != NEVER_BEGAN
        try:
            return self._parts.core.collect(FULL, SCHEDULED) >= 0
        finally:
            turn.over()

    def collect_for_pressure(self, generation: int) -> int:
        """For memory pressure. Returns as `Core.collect()`."""
        if COLLECTOR == "unknown" and generation < FULL:  # it may be another one there
            return DID_NOT_RUN
        if self._parts.auto is not None:
            return self._parts.auto.heap.collect_for_pressure(generation)
        return self._parts.core.collect(generation, PRESSURE)

    def note_high_memory(self, time_ns: int, message: str) -> None:
        self._parts.alert("high_memory", time_ns, message)

    def note_memory_event(self, event: MemoryEvent) -> None:
        self._parts.monitor.memory_event(event)
        log.info("collected for memory pressure: %s", event)

    def note_memory_exhausted(self, event: MemoryEvent) -> None:
        pressure = self._parts.pressure
        grown = pressure.grown_bytes if pressure is not None else None
        why = f"collecting does not help: {event}"
        if grown is not None:
            why += f"; a fresh worker has {size(grown)} less"
        with importing:
            from gcctl._memory.allocator import other_allocator
        if allocator := other_allocator():
            why += (
                f"; the allocator {allocator} may keep what was freed, and gcctl cannot change that"
            )
        self._parts.recycling.advise("memory_limit", why)


def log_line(text: str, stats: Callable[[], Stats]) -> None:
    """The statistics in one line of the log; `text` has a %s for them. They are only made where
    somebody sees the line."""
    if log.informs():
        with importing:
            from gcctl._monitor.report import line

        log.info(text, line(stats()))
