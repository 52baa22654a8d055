"""The policy `auto` at work in this process: its heap, its thresholds, and the thread at idle."""

from __future__ import annotations

import gc
from collections.abc import Callable

from gcctl._protocol import Core, Event
from gcctl.auto import Auto, AutoStats, safety_net
from gcctl.concurrent import concurrent
from gcctl.config import Config
from gcctl.deputy import INTERVAL_SECONDS, STEP_SECONDS, Deputy
from gcctl.heap import ProcessHeap
from gcctl.settings import Rollback, Watch


class Adaptive:
    """What a controller has besides, under an adaptive policy."""

    def __init__(
        self, config: Config, core: Core, rollback: Rollback, watch: Watch, rss: Callable[[], int]
    ) -> None:
        self._config = config
        self._core = core
        self._rollback = rollback
        self._watch = watch
        self._rss = rss
        stop = config.full_collection == "stop"
        self.heap = ProcessHeap(core, stop=stop, on_freeze=watch.changed_by_us)
        self._auto = Auto(self.heap, config.max_pause_ns, config.gc_budget, rss())
        self._deputy = Deputy(self._act, core.boundaries)

    @property
    def stats(self) -> AutoStats:
        return self._auto.stats

    def look(self, rss: int) -> None:
        """At a boundary."""
        try:
            self._look_for_frozen()
            self._adjust_thresholds(safety_net(self._config.max_pause_ns))
            self._auto.look(rss)
        finally:
            self._deputy.stand_by()

    def note_collection(self, event: Event) -> None:
        """In the gc callback of a collection of somebody else, most likely automatic."""
        if event.generation and not self._core.boundaries():
            self._adjust_thresholds(safety_net(self._config.max_pause_ns, self._rss()))
        if self._auto.automatic(event.generation):
            self._deputy.stand_by()

    def before_fork(self) -> None:
        """Python warns of forks in a process with several threads."""
        self._deputy.stop()

    def after_fork(self) -> None:
        self._deputy.after_fork()
        self._auto.begin(self._rss())

    def stop(self) -> None:
        """Do nothing more."""
        self._deputy.stop()

    def end(self) -> str:
        """Give back what is tenured. Returns why that cannot be, or ""."""
        self._deputy.stop()
        self._look_for_frozen()
        return "" if self.heap.tenured.end() else "objects stay frozen: somebody else froze some"

    def _look_for_frozen(self) -> None:
        if self._watch.frozen_by_others:
            self.heap.tenured.share()

    def _adjust_thresholds(self, wanted: tuple[int, int, int]) -> None:
        now = gc.get_threshold()
        if self._config.thresholds is not None or abs(wanted[0] - now[0]) * 4 <= now[0]:
            return
        if self._rollback.adjust(wanted):
            self._watch.changed_by_us()

    def _act(self) -> float | None:
        """As a boundary would, while none comes. Returns seconds, as `Deputy` wants them."""
        if concurrent.running is not None:
            concurrent.attend()
        owed = self._auto.look(self._rss(), boundary=False)
        if concurrent.running is not None:
            return STEP_SECONDS
        return INTERVAL_SECONDS if owed else None
