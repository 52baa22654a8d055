"""One installation of gcctl: what it sets up, what it does at boundaries, what it puts back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Literal, TypeVar

from gcctl._auto.in_process import AutoInProcess
from gcctl._auto.rules import YOUNG_AFTER
from gcctl._base.faults import log_fault
from gcctl._base.public import public
from gcctl._base.units import size
from gcctl._concurrent.collection import NEVER_BEGAN
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import InTurn, turn
from gcctl._config.config import Config
from gcctl._config.presets import ADAPTIVE
from gcctl._core.protocol import NEVER, Core, Kind, Orders
from gcctl._core.records import REASONS, Event
from gcctl._interpreter.collector import COLLECTOR, schedule_for
from gcctl._interpreter.settings import Rollback, Watch
from gcctl._lifecycle.batch import batches
from gcctl._memory.cgroup import MemoryGroups
from gcctl._memory.limits import limit_for, rss_bytes
from gcctl._memory.pressure import Listener, MemoryEvent, Pressure
from gcctl._memory.protocol import Memory
from gcctl._memory.recycling import RecycleAdvice, Recycling
from gcctl._monitor.alerts import Alert, AlertKind
from gcctl._monitor.statistics import Monitor, Stats, core_counters, long_pause_message
from gcctl._process import twins

logger = logging.getLogger("gcctl")

FULL = 2
SCHEDULED = REASONS.index("scheduled")
PRESSURE = REASONS.index("pressure")
REQUESTED = REASONS.index("requested")

SETTINGS_NS = 10**9
"""Shortest time between two looks at the gc settings, or counts of the collections."""

DELIVERY_SECONDS = 1.0
"""How long uninstalling waits for callbacks that have not been called yet."""

OnAlert = TypeVar("OnAlert", bound=Callable[[Alert], object])
OnRecycle = TypeVar("OnRecycle", bound=Callable[[RecycleAdvice], object])
Observer = Callable[["Controller", bool], object]

_observers: tuple[Observer, ...] = ()


def observe(observer: Observer) -> None:
    """Have `observer(controller, False)` called at each look of whichever controller is installed,
    and `observer(controller, True)` when one ends, whose `stats()` are its last then.

    For exporters. A look is at the boundary of a request, which waits for it. What the observer
    raises is a fault. There is no way to take it back.
    """
    global _observers
    _observers = (*_observers, observer)


def _is_of_a_signal(error: BaseException) -> bool:
    """Did a signal handler of the program raise it, such as a time limit?

    Of the program's code only signal handlers, and what is behind logging, run within gcctl.
    """
    modules = []
    traceback = error.__traceback__
    while traceback is not None:
        modules.append(traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        traceback = traceback.tb_next
    known = {"gcctl", "psutil", *sys.stdlib_module_names}
    return modules[-1] not in known and "logging" not in modules


@public
class Controller:
    """One installation of gcctl, as `install()` returns it; a context manager that uninstalls."""

    def __init__(
        self,
        config: Config,
        installed_at: str,
        uninstall: Callable[[Controller], None],
        *,
        core: Core = twins.core,
        memory: Memory = twins.memory,
    ) -> None:
        self.config = config
        self.installed_at = installed_at
        """Where `install()` was called from, for the error that a second call gets."""
        self.installed = False
        """Set by whoever installs."""
        self._uninstall = uninstall
        self._core = core
        self._memory = memory
        self._monitor = Monitor(core.now())
        self._recycling = Recycling(
            config.recycle_after_requests, config.recycle_above, config.recycle_jitter
        )
        self._pressure: Pressure | None = None
        self._watch: Watch | None = None
        self._auto: AutoInProcess | None = None
        self._fulls: InTurn | None = None
        self._rollback = Rollback()
        self._final: Stats | None = None
        self._final_events: tuple[Event, ...] = ()
        self._notes: list[str] = []
        self._faults = 0
        self._settings_at = self._frequency_at = core.now()

    def stats(self) -> Stats:
        """The statistics now; once uninstalled, those of that moment."""
        if self._final is not None or not self.installed:
            return self._final or Stats()
        rss = self._rss()
        try:
            self._observe(rss)
        except Exception:
            self._fault()
        # Taken once: another thread may be uninstalling.
        adaptive, pressure, now = self._auto, self._pressure, self._core.now()
        counters = core_counters(self._core.snapshot())
        return Stats(
            **counters | {"faults": counters["faults"] + self._faults},
            **self._monitor.counters(now, pressure.used() if pressure else None),
            policy=self.config.policy,
            implementation=self._core.implementation,
            concurrent=coordinator.stats,
            auto=adaptive.stats if adaptive else None,
            rss_bytes=rss,
            high_memory=pressure.high if pressure else False,
            high_memory_events=pressure.entries if pressure else 0,
            memory_stalled_share=pressure.stalled if pressure else 0.0,
            recycle_advice=self._recycling.advice,
        )

    def events(self) -> tuple[Event, ...]:
        """The last collections, oldest first; at most 256. Once uninstalled, those of then."""
        return self._core.events() if self.installed else self._final_events

    def report(self, format: Literal["text", "json"] = "text") -> str:
        """As `gcctl.report()`, of this controller."""
        from gcctl._monitor.report import (
            render,  # at the start of a program it would cost more than it is worth
        )

        return render(format, self.stats(), self.config, self.events())

    def check_memory(self) -> bool:
        """As `gcctl.check_memory()`; False when this controller is not the installed one."""
        pressure = self._pressure
        if pressure is None or not self.installed:
            return False
        try:
            return pressure.check()
        except Exception as error:
            if _is_of_a_signal(error):
                raise
            self._fault()
            return pressure.high

    @property
    def recycle_advice(self) -> RecycleAdvice | None:
        """Why this worker should be replaced after the request in hand; None: it should not."""
        return self._recycling.advice

    def on_alert(self, callback: OnAlert) -> OnAlert:
        """Have `callback(alert)` called with each `Alert`. Usable as a decorator.

        It is called in a thread of its own and can neither break nor slow a request: what it raises
        is logged, and while it blocks, the oldest of more than 64 alerts that wait are dropped.
        """
        self._monitor.alerts.add_callback(callback)
        return callback

    def on_recycle(self, callback: OnRecycle) -> OnRecycle:
        """Have `callback(advice)` called with the `RecycleAdvice`, once, in a thread of its own."""
        self._recycling.add_callback(callback)
        return callback

    def uninstall(self) -> None:
        """As `gcctl.uninstall()`; does nothing when this controller is not the installed one."""
        self._uninstall(self)

    def __enter__(self) -> Controller:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()

    # What lifecycle.py has it do, in this order.

    def _start(self) -> None:
        config = self.config
        turn.installed(config.stagger)
        self._fulls = InTurn(self._begin_full, self._core.boundaries)
        self._rollback.apply(enabled=config.automatic_gc, thresholds=config.thresholds)
        orders = self._orders()
        if (orders.every[0], orders.every[1]) != (config.gen0_every or 0, config.gen1_every or 0):
            logger.warning(
                "on a %s build every collection is full: young ones are left out", COLLECTOR
            )
        self._core.start(orders, self._notify)
        adaptive = config.policy in ADAPTIVE
        if config.monitoring or adaptive:
            self._watch = watch = Watch(self._core.attached, self._core.collecting)
            if adaptive:
                self._auto = AutoInProcess(
                    config, self._core, self._rollback, watch, self._rss, self._fault
                )
                self._auto.start()
        if config.memory_limit is not None:
            groups = MemoryGroups()
            self._pressure = Pressure(
                limit_for(config.memory_limit, groups, self._rss),
                groups,
                config.pressure_budget,
                self._memory,
                collect=self._collect_for_pressure,
                now=self._core.now,
                rss=self._rss,
                listener=Listener(
                    self._on_high_memory, self._on_memory_event, self._on_memory_exhausted
                ),
            )
            with suppress(Exception):  # a broken logging setup is no reason not to install
                for warning in self._pressure.doubts():
                    logger.warning("%s", warning)
        batches.installed(self.check_memory if self._pressure else None, config.check_interval)
        stop_the_world = self._auto.heap.stop_the_world if self._auto else None
        coordinator.installed(config.max_pause_ns, stop_the_world)

    def _orders(self) -> Orders:
        config = self.config
        every = (
            config.gen0_every or NEVER,
            config.gen1_every or NEVER,
            config.gen2_every or NEVER,
        )
        emergency = config.emergency_interval_ns
        adaptive = config.policy in ADAPTIVE
        tells_of_fulls = config.full_collection == "concurrent" or config.stagger is not None
        look = adaptive or config.monitoring or config.memory_limit or tells_of_fulls
        return Orders(
            every=schedule_for(every),
            report_every=config.report_every or NEVER,
            recycle_after=self._recycling.after_requests or NEVER,
            emergency_interval_ns=-1 if emergency is None else emergency,
            check_interval_ns=config.check_interval_ns if look or config.recycle_above else -1,
            emergency_generation=1 if adaptive else FULL,
            young_after=schedule_for((YOUNG_AFTER, NEVER, NEVER))[0] if adaptive else NEVER,
            max_pause_ns=config.max_pause_ns,
            concurrent=tells_of_fulls,
            external=config.monitoring or adaptive,
            tell_external=adaptive,
        )

    def _finish(self) -> None:
        """The last collection and the last statistics."""
        if self._auto is not None:
            self._auto.stop()
        batches.uninstalled()
        coordinator.uninstalled()
        collected = 0
        if self.config.final_collection:
            collected = self._collect_all()
        elif self._rollback.switches_on:
            # Else the first allocations after enabling would collect all that came meanwhile.
            collected = self._core.collect(0, REQUESTED)
        if collected < 0:
            self._notes.append("the last collection was left out: one was running")
        self._final_events = self.events()
        self._final = self.stats()
        self._tell_observers(ended=True)

    def _tell_observers(self, *, ended: bool) -> None:
        for observer in _observers:
            try:
                observer(self, ended)
            except Exception:
                self._fault()

    def _collect_all(self) -> int:
        if self._auto is not None:
            return self._auto.heap.stop_the_world(REQUESTED)
        return self._core.collect(FULL, REQUESTED)

    def _restore(self) -> None:
        """Everything back as it was. To be called again where it was interrupted."""
        if self._watch is not None:
            self._watch.end()
        batches.uninstalled()
        coordinator.uninstalled()
        turn.uninstalled()
        self._fulls = None
        if not self._core.stop():
            self._notes.append("somebody had removed gcctl's entry from gc.callbacks")
        if self._auto is not None:
            left = self._auto.end()
            self._notes += [left] if left else []
            self._auto = None
        for drift in self._rollback.undo():
            self._notes.append(f"gc settings left as they are: {drift}")
        if self._pressure is not None:
            self._pressure.close()
        self._memory.close()

    def _log_end(self) -> None:
        with ExitStack() as last_first:
            last_first.callback(self._recycling.finish, DELIVERY_SECONDS)
            last_first.callback(self._monitor.alerts.finish, DELIVERY_SECONDS)
            for found in self._notes:
                logger.warning("%s", found)
            if self._final is not None and logger.isEnabledFor(logging.INFO):
                self._log_line("uninstalled: %s", self._final)

    def _idle(self) -> float | None:
        """A thread of the program has had nothing to do for `deputy.INTERVAL_SECONDS`: do in it
        what waits for that. Returns seconds after which to be called again; None: not before the
        next boundary. For integrations that know of such a place."""
        try:
            return self._auto.idle() if self._auto is not None else None
        except Exception:
            self._fault()
            return None

    def _before_fork(self) -> None:
        if self._auto is not None:
            self._auto.before_fork()

    def _after_fork(self) -> None:
        self._monitor.after_fork(self._core.now())
        self._recycling.after_fork()
        self._faults = 0
        if self._pressure is not None:
            self._pressure.after_fork()
        # Once more, for this worker has drawn a number of requests of its own.
        self._core.start(self._orders(), self._notify)
        self._fulls = InTurn(self._begin_full, self._core.boundaries)
        if self._auto is not None:
            self._auto.after_fork()

    # What happens at boundaries, and what comes of it.

    def _notify(self, kind: Kind, event: Event | None) -> None:
        if kind == "report":
            self._log_line("%s", self.stats())
        elif kind == "sweep_step":
            coordinator.sweep_step()
        elif kind == "full":
            fulls = self._fulls
            if fulls is not None:
                fulls.due(self._core.now())
        elif kind == "recycle":
            served = f"{self._core.snapshot().requests:,} requests served"
            self._recycling.advise("requests", served)
        elif kind == "check":
            self._check(self._rss())
        elif kind == "external":
            if self._auto is not None and event is not None:
                self._auto.note_collection(event)
        elif kind == "external_full":
            if self._auto is not None:
                self._auto.note_full_begins()
        elif event is not None:
            message = long_pause_message(event, self.config.max_pause_ns)
            self._alert("long_gc_pause", event.time_ns, message)

    def _check(self, rss: int) -> None:
        """Each part whatever the others come to."""
        now = self._core.now()
        with ExitStack() as last_first:
            last_first.callback(self._tell_observers, ended=False)
            if self._fulls is not None:
                last_first.callback(self._fulls.look, now)
            if self._auto is not None:
                last_first.callback(self._auto.check, rss)
            if self._pressure is not None:
                last_first.callback(self._pressure.refresh_and_check)
            self._observe(rss, settings=now >= self._settings_at)

    def _log_line(self, text: str, stats: Stats) -> None:
        from gcctl._monitor.report import line

        logger.info(text, line(stats))

    def _observe(self, rss: int, *, settings: bool = True) -> None:
        """Look at memory, and at the settings; collects nothing."""
        now = self._core.now()
        self._monitor.sample(now, rss)
        self._monitor.alerts.resume()
        self._recycling.resume()
        above = self._recycling.above_bytes
        if above is not None and rss > above:
            self._recycling.advise("rss", f"RSS {size(rss)}, over {size(above)}")
        self._core.tell_long_pause()
        if settings:
            self._settings_at = now + SETTINGS_NS
            self._observe_settings(now)

    def _observe_settings(self, now: int) -> None:
        changes = self._watch.changes() if self._watch is not None else ()
        if changes:
            message = f"somebody changed the GC: {'; '.join(changes)}"
            self._alert("gc_settings_changed", now, message)
        if now >= self._frequency_at:
            self._frequency_at = now + SETTINGS_NS
            self._count_collections(now)

    def _count_collections(self, now: int) -> None:
        most = self.config.max_collections_per_minute
        if most is None or not self.config.monitoring:
            return
        _, middle, old = self._core.snapshot().last_minute.collections
        if middle + old > most:
            message = (
                f"{middle + old:,} collections of generations 1 and 2 in the last minute "
                f"({middle:,} and {old:,}), over max_collections_per_minute {most:,}"
            )
            self._alert("gc_frequency", now, message)

    def _begin_full(self) -> bool:
        """One of a schedule. False where another collection prevents it."""
        if self.config.full_collection == "concurrent":
            return coordinator.start(SCHEDULED).outcome != NEVER_BEGAN
        try:
            return self._core.collect(FULL, SCHEDULED) >= 0
        finally:
            turn.over()

    def _collect_for_pressure(self, generation: int) -> int:
        if self._auto is not None:
            return self._auto.heap.relieve(generation)
        return self._core.collect(generation, PRESSURE)

    def _alert(self, kind: AlertKind, time_ns: int, message: str) -> None:
        if self.config.monitoring:
            self._monitor.alerts.add(kind, time_ns, message)

    def _on_high_memory(self, time_ns: int, message: str) -> None:
        self._alert("high_memory", time_ns, message)

    def _on_memory_event(self, event: MemoryEvent) -> None:
        self._monitor.memory_event(event)
        logger.info("collected for memory pressure: %s", event)

    def _on_memory_exhausted(self, event: MemoryEvent) -> None:
        self._recycling.advise("memory_limit", f"collecting does not help: {event}")

    def _rss(self) -> int:
        return rss_bytes(self._memory)

    def _fault(self) -> None:
        self._faults += 1
        if self._faults == 1:
            log_fault()
