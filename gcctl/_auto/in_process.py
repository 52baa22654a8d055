"""The policy `auto` at work in this process: its heap, its thresholds, and the thread at idle."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

from gcctl._auto.idle import INTERVAL_SECONDS, STEP_SECONDS, IdleThread
from gcctl._auto.process_heap import ProcessHeap
from gcctl._auto.rules import AutoStats, Rules
from gcctl._concurrent.coordinator import coordinator
from gcctl._config.config import Config
from gcctl._config.presets import PRESETS
from gcctl._core.protocol import Core
from gcctl._core.records import Event
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.settings import Rollback, Watch


class AutoInProcess:
    """What a controller has besides, under an adaptive policy."""

    def __init__(
        self,
        config: Config,
        core: Core,
        rollback: Rollback,
        watch: Watch,
        rss: Callable[[], int],
        fault: Callable[[], object],
    ) -> None:
        """`fault()` is told of what goes wrong where nobody is there to be told."""
        self._config = config
        self._core = core
        self._rollback = rollback
        self._watch = watch
        self._rss = rss
        stop = config.full_collection == "stop"
        self.heap = ProcessHeap(
            core,
            stop=stop,
            patient=_may_be_patient(config),
            before_freeze=self._before_freeze,
            after_freeze=watch.changed_by_us,
            on_relief=self.stand_by,
        )
        self._ended = False
        self._adjusting = False  # thresholds, by whichever thread
        self._fault = fault
        self._loop: weakref.ref[Any] | None = None  # the event loop that was running last
        self._asked_loop = False  # which has not come to it yet
        self._answers: list[float | None] = []  # its last, if that was not taken yet
        self._asked_for = False  # the full collection of somebody else that was the last
        own = rollback.original.thresholds
        self._rules = Rules(self.heap, config.max_pause_ns, config.gc_budget, own, rss())
        self._deputy = IdleThread(self._act, core.boundaries, fault)

    def start(self) -> None:
        self._rules.begin(self._rss())
        self._adjust_thresholds(self._rules.thresholds_without_requests())

    @property
    def stats(self) -> AutoStats:
        return self._rules.stats

    def check(self, rss: int) -> None:
        """At a boundary."""
        if self._ended:
            return
        try:
            self.heap.repair()
            self._adjust_thresholds(self._rules.safety_net.thresholds())
            self._rules.check(rss)
        finally:
            self.stand_by()

    def stand_by(self) -> None:
        """Act when the next boundary does not come."""
        # It may be in the middle of being imported.
        running = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
        loop = running() if running is not None else None
        if loop is not None:
            self._loop = weakref.ref(loop)
        if not self._ended:
            self._deputy.stand_by()

    def note_full_begins(self) -> None:
        """In the gc callback of a full collection of somebody else."""
        (young, _, old), thresholds = gc.get_count(), gc.get_threshold()
        self._asked_for = not (young > thresholds[0] and old > thresholds[2])
        if not self._ended and self._asked_for:
            self.heap.thaw()

    def note_collection(self, event: Event) -> None:
        """In the gc callback of a collection of somebody else, most likely automatic."""
        if self._ended or not self._rules.concerns(event):
            return
        is_to_stand_by = self._rules.automatic(event, self._rss(), asked_for=self._asked_for)
        if not self._core.boundaries():
            self._adjust_thresholds(self._rules.thresholds_without_requests())
        if is_to_stand_by:
            self.stand_by()

    def before_fork(self) -> None:
        """Python warns of forks in a process with several threads. It looks after the hooks have
        run in the parent: so the next boundary brings the deputy back."""
        self._deputy.stop()
        self._before_freeze()
        self._watch.changed_by_us()

    def after_fork(self) -> None:
        self._loop, self._asked_loop, self._answers = None, False, []
        self._adjusting = False
        self._deputy.after_fork()
        self.heap.after_fork()
        self._rules.begin(self._rss())

    def stop(self) -> None:
        """Do nothing more."""
        self._ended = True
        self._deputy.stop()

    def end(self) -> str:
        """Give back what is tenured. Returns why that cannot be, or ""."""
        self.stop()
        self._before_freeze()
        self._watch.changed_by_us()
        return "" if self.heap.tenured.end() else "objects stay frozen: somebody else froze some"

    def _before_freeze(self) -> None:
        self._watch.expect_change()
        if self._watch.frozen_by_others:
            self.heap.tenured.share()

    def _adjust_thresholds(self, wanted: tuple[int, int, int]) -> None:
        now = gc.get_threshold()
        near = abs(wanted[0] - now[0]) * 4 <= now[0] and now[1] == wanted[1]
        # Where there is no third generation it may read 0 whatever was set.
        near = near and (now[2] == wanted[2] or COLLECTOR != "generational")
        if near or self._config.thresholds is not None or self._ended:
            return
        # Lower ones may bring about a collection, and so another call of this in the middle of it.
        if self._adjusting:  # with the next line one step
            return
        self._adjusting = True
        done = False
        try:
            self._watch.expect_change()
            done = self._rollback.adjust(wanted)
        finally:
            self._adjusting = False
            self._watch.changed_by_us(thresholds=done)

    def _act(self) -> float | None:
        """In the deputy's thread.

        What belongs to an event loop is not made for other threads than its own, where the program
        has no others: it does it there, so that finalizers run in it.
        """
        loop = self._loop() if self._loop is not None else None
        if loop is None or not loop.is_running() or _has_threads():
            return self.idle()
        if self._asked_loop:  # something keeps it busy: automatic GC is to see to that
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
            loop.call_soon_threadsafe(self._act_in_loop)
        except RuntimeError:  # closed by now
            self._asked_loop = False
        return STEP_SECONDS

    def _act_in_loop(self) -> None:
        answer = None
        try:
            answer = self.idle()
        except Exception:
            self._fault()
        self._answers = [answer]
        self._asked_loop = False

    def idle(self) -> float | None:
        """As a boundary would, while none comes. Returns seconds, as `IdleThread` wants them."""
        if self._ended:
            return None
        self.heap.repair()
        if coordinator.running is not None:
            coordinator.sweep_step()
        owed = self._rules.check(self._rss(), boundary=False)
        marks = self._core.boundaries() > 0
        if not marks:
            self._adjust_thresholds(self._rules.thresholds_without_requests())
        if coordinator.running is not None:
            return STEP_SECONDS
        if not marks:  # automatic GC does it all
            return INTERVAL_SECONDS if owed else None
        net = self._rules.safety_net
        if net.is_stretched(self._core.now()):
            self._adjust_thresholds(net.thresholds())
            return STEP_SECONDS
        if owed:
            return INTERVAL_SECONDS
        # What allocates from here on is no request, and nobody looks at it.
        self._adjust_thresholds(net.thresholds_at_idle())
        return None


def _may_be_patient(config: Config) -> bool:
    """Who has set a limit wants to know in time that it is passed; and who has set looks apart has
    said how far."""
    limited = config.memory_limit is not None or config.recycle_above is not None
    return not limited and config.check_interval <= PRESETS["auto"].check_interval


def _has_threads() -> bool:
    """Has the program made any? The deputy is none of them, but up to CPython 3.12 a line that it
    has logged leaves a dummy in its place."""
    threading = sys.modules.get("threading")
    if threading is None:  # then none was made by it
        return False
    main = threading.main_thread()
    return any(
        thread is not main and not isinstance(thread, threading._DummyThread)
        for thread in threading.enumerate()
    )
