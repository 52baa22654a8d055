"""One installation from its start to its end: what is set up, carried over forks, and put back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress

from gcctl._auto.checks import IdleWork
from gcctl._auto.in_process import AutoInProcess
from gcctl._auto.rules import YOUNG_AFTER
from gcctl._base import log
from gcctl._base.units import size
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.staggering import InTurn, turn
from gcctl._config.config import Config
from gcctl._config.presets import ADAPTIVE
from gcctl._core.protocol import NEVER, Core, Orders
from gcctl._core.records import REASONS
from gcctl._interpreter import asking, mechanisms
from gcctl._interpreter.collector import COLLECTOR, schedule_for
from gcctl._interpreter.settings import Rollback, Watch
from gcctl._lifecycle.at_boundaries import AtBoundaries, log_line
from gcctl._lifecycle.batch import batches
from gcctl._lifecycle.controller import Controller
from gcctl._lifecycle.observers import tell_observers
from gcctl._lifecycle.parts import Parts
from gcctl._lifecycle.sampling import Sampler
from gcctl._memory.protocol import Memory
from gcctl._memory.recycling import RecycleAdvice
from gcctl._memory.resident import own_bytes
from gcctl._monitor.no_requests import INTERVAL_NS, SECOND_NS
from gcctl._process import twins

FULL = 2
REQUESTED = REASONS.index("requested")

CALLBACK_SECONDS = 1.0
"""How long uninstalling waits for callbacks that have not been called yet."""


class Installation:
    """What `install()` makes. Its `controller` is the part that users get.

    The order of calls is `start()`, `finish()`, `restore()`, `log_end()`. Where `start()` fails, or
    is interrupted, only `restore()` follows.
    """

    def __init__(
        self,
        config: Config,
        installed_at: str,
        uninstall: Callable[[Controller], None],
        *,
        core: Core = twins.core,
        memory: Memory = twins.memory,
    ) -> None:
        self._parts = parts = Parts(config, core, memory)
        sampler = Sampler(parts)
        self.controller = Controller(parts, sampler, installed_at, uninstall)
        self._at_boundaries = AtBoundaries(parts, sampler, self.controller)
        self._rollback = Rollback()
        self._notes: list[str] = []
        """What the log is told at the end."""

    def in_words(self) -> str:
        """What is installed, for the log."""
        parts = self._parts
        reasons = mechanisms.overview(coordinator.missing)
        said = f"policy {parts.config.policy}, {parts.core.implementation} core ({twins.reason})"
        return f"{said}; {mechanisms.in_words(reasons)}" if any(reasons.values()) else said

    def start(self) -> None:
        parts, config = self._parts, self._parts.config
        if parts.left_alone:
            log.warning("%s", parts.left_alone)
        turn.installed(config.stagger)
        parts.fulls = InTurn(self._at_boundaries.begin_full, parts.core.boundaries)
        self._rollback.apply(enabled=config.automatic_gc, thresholds=config.thresholds)
        orders = self._orders()
        if (orders.every[0], orders.every[1]) != (config.gen0_every or 0, config.gen1_every or 0):
            log.warning(
                "on a %s build every collection is full: young ones are left out", COLLECTOR
            )
        parts.core.start(orders, self._at_boundaries.notify)
        parts.stand_ins.start()
        why = mechanisms.missing("stand-ins")
        if why and config.explicit_collect != "run":
            log.warning("explicit_collect %r has no effect: %s", config.explicit_collect, why)
        parts.own_objects.freeze()
        self._start_policy()
        if config.memory_limit is not None:
            self._start_pressure(config.memory_limit)
        self._doubt_recycling()
        if parts.pressure is not None:
            batches.installed(
                self.controller.check_memory, config.check_interval_ns, parts.pressure.room_bytes
            )
        else:
            batches.installed(None, 0)
        stop_the_world = parts.auto.heap.stop_the_world if parts.auto else None
        coordinator.installed(config.max_pause_ns, stop_the_world)
        if parts.auto is None and parts.no_requests.watches:
            parts.idle_work = IdleWork(
                parts.core, parts.no_requests.idle, lambda: None, parts.fault
            )
            parts.idle_work.ask(INTERVAL_NS / SECOND_NS)

    def _start_policy(self) -> None:
        parts, config = self._parts, self._parts.config
        adaptive = config.policy in ADAPTIVE
        if config.monitoring or adaptive:
            parts.watch = watch = Watch(parts.core.attached)
            if adaptive:
                parts.auto = AutoInProcess(
                    config,
                    parts.core,
                    self._rollback,
                    watch,
                    parts.rss,
                    parts.fault,
                    at_idle=parts.no_requests.check,
                )
                parts.auto.start()

    def _start_pressure(self, limit: int | str) -> None:
        # Not imported at the top: most programs have no limit.
        from gcctl._memory.cgroup import MemoryGroups
        from gcctl._memory.limits import limit_for
        from gcctl._memory.pressure import Listener, Pressure

        parts, at_boundaries = self._parts, self._at_boundaries
        groups = MemoryGroups()
        parts.pressure = Pressure(
            limit_for(limit, groups, parts.rss),
            groups,
            parts.config.pressure_budget,
            parts.memory,
            collect=at_boundaries.collect_for_pressure,
            now=parts.core.now,
            rss=parts.rss,
            listener=Listener(
                at_boundaries.note_high_memory,
                at_boundaries.note_memory_event,
                at_boundaries.note_memory_exhausted,
            ),
            own=lambda: own_bytes(parts.memory),
        )
        with suppress(Exception):  # a broken logging setup is no reason not to install
            for warning in parts.pressure.doubts():
                log.warning("%s", warning)

    def _doubt_recycling(self) -> None:
        above = self._parts.recycling.above_bytes
        if above is not None and (own := own_bytes(self._parts.memory)) > above:
            with suppress(Exception):  # as above
                log.warning(
                    "recycle_above is exceeded from the start (RSS %s, over %s): "
                    "each fresh worker will be advised to be recycled too",
                    size(own),
                    size(above),
                )

    def _orders(self) -> Orders:
        """What the core is to do by itself at boundaries, and what it is to tell of."""
        parts, config = self._parts, self._parts.config
        every = (
            config.gen0_every or NEVER,
            config.gen1_every or NEVER,
            config.gen2_every or NEVER,
        )
        emergency = config.emergency_interval_ns
        adaptive = config.policy in ADAPTIVE
        tells_of_fulls = config.full_collection == "concurrent" or config.stagger is not None
        checks = (
            adaptive
            or config.monitoring
            or config.memory_limit
            or tells_of_fulls
            or config.recycle_above
        )
        return Orders(
            every=schedule_for(every),
            report_every=config.report_every or NEVER,
            recycle_after=parts.recycling.after_requests or NEVER,
            emergency_interval_ns=-1 if emergency is None else emergency,
            check_interval_ns=config.check_interval_ns if checks else -1,
            emergency_generation=1 if adaptive else FULL,
            young_after=schedule_for((YOUNG_AFTER, NEVER, NEVER))[0] if adaptive else NEVER,
            max_pause_ns=config.max_pause_ns,
            concurrent=tells_of_fulls,
            external=config.monitoring or adaptive,
            tell_external=adaptive,
        )

    def finish(self) -> None:
        """The last collection and the last statistics."""
        parts = self._parts
        if parts.auto is not None:
            parts.auto.stop()
        if parts.idle_work is not None:
            parts.idle_work.stop()
        batches.uninstalled()
        coordinator.uninstalled()
        collected = 0
        if parts.config.final_collection:
            collected = self._collect_all()
        elif self._rollback.switches_on:
            # Else the first allocations after enabling would collect all that came meanwhile.
            collected = parts.core.collect(0, REQUESTED)
        if collected < 0:
            self._notes.append("the last collection was left out: one was running")
        parts.final_events = self.controller.events()
        parts.final = self.controller.stats()
        tell_observers(self.controller, ended=True, on_error=parts.fault)

    def _collect_all(self) -> int:
        parts = self._parts
        if parts.auto is not None:
            return parts.auto.heap.stop_the_world(REQUESTED)
        return parts.core.collect(FULL, REQUESTED)

    def restore(self) -> None:
        """Put everything back as it was. To be called again where it was interrupted.

        Raises NotRestoredError for a setting that cannot be put back, after having tried all.
        """
        parts = self._parts
        if parts.watch is not None:
            parts.watch.end()
        batches.uninstalled()
        coordinator.uninstalled()
        turn.uninstalled()
        parts.fulls = None
        if not parts.core.stop():
            self._notes.append("somebody had removed gcctl's entry from gc.callbacks")
        if parts.auto is not None:
            parts.auto.end()
            parts.auto = None
        if parts.idle_work is not None:
            parts.idle_work.stop()
            parts.idle_work = None
        parts.own_objects.give_back()
        if not parts.stand_ins.stop():
            self._notes.append("somebody had replaced a stand-in for a function of the module gc")
        for drift in self._rollback.undo():
            self._notes.append(f"gc settings left as they are: {drift}")
        if parts.pressure is not None:
            parts.pressure.close()
        parts.memory.close()
        asking.put_back()

    def log_end(self) -> None:
        """Log what was found at the end, and wait for callbacks that have not been called yet."""
        parts = self._parts
        with ExitStack() as last_first:
            last_first.callback(parts.recycling.finish, CALLBACK_SECONDS)
            last_first.callback(parts.monitor.alerts.finish, CALLBACK_SECONDS)
            for found in self._notes:
                log.warning("%s", found)
            if parts.final is not None:
                log_line("uninstalled: %s", self.controller.stats)

    def idle(self) -> float | None:
        """As `gcctl._lifecycle.install.idle()`."""
        parts = self._parts
        try:
            if parts.auto is not None:
                return parts.auto.idle()
            parts.no_requests.check()
            return None
        except Exception:
            parts.fault()
            return None

    def follow_advice(self, follow: Callable[[RecycleAdvice], object]) -> None:
        """As `gcctl._lifecycle.install.follow_advice()`."""
        self._parts.recycling.follow(follow)

    def after_fork(self) -> None:
        """In the child."""
        parts = self._parts
        parts.monitor.after_fork(parts.core.now())
        parts.recycling.after_fork()
        parts.no_requests.begin()
        parts.explicit.clear()
        parts.faults = 0
        if parts.pressure is not None:
            parts.pressure.after_fork()
        # Once more, for this worker has drawn a number of requests of its own.
        parts.core.start(self._orders(), self._at_boundaries.notify)
        parts.fulls = InTurn(self._at_boundaries.begin_full, parts.core.boundaries)
        if parts.idle_work is not None:
            parts.idle_work.after_fork()
            parts.idle_work.ask(INTERVAL_NS / SECOND_NS)
        if parts.auto is not None:
            parts.auto.after_fork()
