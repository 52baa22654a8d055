"""The policy `auto` in this process: the rules, the heap, the thresholds and the idle thread."""

from __future__ import annotations

import gc
import sys
from _weakref import ref
from collections.abc import Callable
from typing import Any

from gcctl._auto.checks import INTERVAL_SECONDS, STEP_SECONDS, IdleThread
from gcctl._auto.process_heap import ProcessHeap
from gcctl._auto.rules import Rules
from gcctl._auto.stats import AutoStats
from gcctl._concurrent.coordinator import coordinator
from gcctl._config.config import Config
from gcctl._config.presets import PRESETS
from gcctl._core.protocol import Core
from gcctl._core.records import Event
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.settings import Rollback, Watch


class AutoInProcess:
    """The part of a controller that only the policy `auto` needs."""

    def __init__(
        self,
        config: Config,
        core: Core,
        rollback: Rollback,
        watch: Watch,
        rss: Callable[[], int],
        fault: Callable[[], object],
        at_idle: Callable[[], object] = lambda: None,
    ) -> None:
        """`rss()`: the resident set in bytes. `fault()` is called in an `except` clause, where no
        caller could be told what went wrong. `at_idle()` is called too where idle work is done."""
        self._config = config
        self._core = core
        self._rollback = rollback
        self._watch = watch
        self._rss = rss
        stop = config.full_collection == "stop"
        self.heap = ProcessHeap(
            core,
            stop=stop,
            space_checks=_may_space_checks(config),
            on_pressure_collection=self.stand_by,
        )
        self._ended = False
        self._adjusting = False  # whether some thread is setting thresholds
        self._fault = fault
        self._at_idle = at_idle
        self._loop: ref[Any] | None = None  # the event loop that was running last
        self._asked_loop = False  # to work in place of the idle thread; it has not done so yet
        self._answers: list[float | None] = []  # what its last work returned, until that is taken
        own = rollback.original.thresholds
        self._rules = Rules(self.heap, config.max_pause_ns, config.gc_budget, own, rss())
        self._idle_thread = IdleThread(self._work, core.boundaries, fault)

    def start(self) -> None:
        self._rules.begin(self._rss())
        self._adjust_thresholds(self._rules.thresholds_without_requests())

    @property
    def stats(self) -> AutoStats:
        return self._rules.stats

    def check(self, rss: int) -> None:
        """At a boundary: do what is due."""
        if self._ended:
            return
        try:
            if self.heap.lost:
                self._rules.tenure_again()
            self._adjust_thresholds(self._rules.safety_net.thresholds())
            self._rules.check(rss)
        finally:
            self.stand_by()

    def stand_by(self) -> None:
        """Have the idle thread work if the next boundary does not come."""
        # The module may be in the middle of its import.
        running = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
        loop = running() if running is not None else None
        if loop is not None:
            self._loop = ref(loop)
        if not self._ended:
            self._idle_thread.stand_by()

    def note_explicit_full(self) -> None:
        """In the gc callback: an explicit full collection begins."""
        if not self._ended:
            self.heap.thaw()

    def note_collection(self, event: Event) -> None:
        """In the gc callback: a collection of automatic GC, or of somebody else, has ended."""
        if self._ended or not self._rules.wants_external(event):
            return
        more = self._rules.after_external(event, self._rss())
        if not self._core.boundaries():
            self._adjust_thresholds(self._rules.thresholds_without_requests())
        if more:
            self.stand_by()

    def before_fork(self) -> None:
        """Python warns of forks in a process with several threads. It counts the threads after the
        hooks have run in the parent. So only the next boundary brings the idle thread back."""
        self._idle_thread.stop()

    def after_fork(self) -> None:
        self._loop, self._asked_loop, self._answers = None, False, []
        self._adjusting = False
        self._idle_thread.after_fork()
        self.heap.after_fork()
        self._rules.begin(self._rss())

    def stop(self) -> None:
        """Do nothing from now on."""
        self._ended = True
        self._idle_thread.stop()

    def end(self) -> None:
        """Give back the tenured objects."""
        self.stop()
        self.heap.tenured.end()

    def _adjust_thresholds(self, wanted: tuple[int, int, int]) -> None:
        now = gc.get_threshold()
        near = abs(wanted[0] - now[0]) * 4 <= now[0] and now[1] == wanted[1]
        # Where CPython has no third generation, its threshold may read 0 whatever was set.
        near = near and (now[2] == wanted[2] or COLLECTOR != "generational")
        if near or self._config.thresholds is not None or self._ended:
            return
        # Lower thresholds may cause a collection, and that calls this again in the middle of it.
        if self._adjusting:  # with the next line this is one step
            return
        self._adjusting = True
        done = False
        try:
            self._watch.expect_change()
            done = self._rollback.adjust(wanted)
        finally:
            self._adjusting = False
            self._watch.changed_by_us(done)

    def _work(self) -> float | None:
        """In the idle thread.

        Objects that belong to an event loop are not made for other threads, and a program with an
        event loop may have no other threads. There the event loop does the work in its own thread,
        so that finalizers run in it.
        """
        loop = self._loop() if self._loop is not None else None
        if loop is None or not loop.is_running() or _has_threads():
            return self.idle()
        if self._asked_loop:  # something keeps the loop busy: automatic GC has to collect there
            self.heap.check_after(0)
            net, marks = self._rules.safety_net, self._core.boundaries() > 0
            self._adjust_thresholds(
                net.thresholds_at_idle() if marks else net.thresholds_without_requests()
            )
            return INTERVAL_SECONDS
        if self._answers:
            return self._answers.pop()
        self._asked_loop = True
        try:
            loop.call_soon_threadsafe(self._work_in_loop)
        except RuntimeError:  # closed by now
            self._asked_loop = False
        return STEP_SECONDS

    def _work_in_loop(self) -> None:
        answer = None
        try:
            answer = self.idle()
        except Exception:
            self._fault()
        self._answers = [answer]
        self._asked_loop = False

    def idle(self) -> float | None:
        """Do the work of a boundary while none comes. Returns the seconds until the next call, or
        None, as `IdleThread` wants them."""
        if self._ended:
            return None
        self._at_idle()
        if self.heap.lost:
            self._rules.tenure_again()
        if coordinator.running is not None:
            coordinator.sweep_step()
        owed = self._rules.check(self._rss(), boundary=False)
        marks = self._core.boundaries() > 0
        if not marks:
            self._adjust_thresholds(self._rules.thresholds_without_requests())
        if coordinator.running is not None:
            return STEP_SECONDS
        if not marks:  # automatic GC does the collecting
            return INTERVAL_SECONDS if owed else None
        net = self._rules.safety_net
        if net.wants_frequent_checks(self._core.now()):
            self._adjust_thresholds(net.thresholds())
            return STEP_SECONDS
        if owed:
            return INTERVAL_SECONDS
        # Code that allocates from here on is no request, and no check sees what it allocates.
        self._adjust_thresholds(net.thresholds_at_idle())
        return None


def _may_space_checks(config: Config) -> bool:
    """Whether checks may be further apart than `check_interval`. A user who sets a memory limit
    wants to know in time when it is passed. A user who sets a longer interval has said how long."""
    limited = config.memory_limit is not None or config.recycle_above is not None
    return not limited and config.check_interval <= PRESETS["auto"].check_interval


def _has_threads() -> bool:
    """Whether the program has made threads. The idle thread is not in `threading`'s list. But up
    to CPython 3.12, if it logs a line, that leaves a dummy in the list."""
    threading = sys.modules.get("threading")
    if threading is None:  # then none was made by it
        return False
    main = threading.main_thread()
    return any(
        thread is not main and not isinstance(thread, threading._DummyThread)
        for thread in threading.enumerate()
    )
