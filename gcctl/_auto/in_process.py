"""The policy `auto` in this process: the rules, the heap, the thresholds and idle work."""

from __future__ import annotations

import gc
from collections.abc import Callable

from gcctl._auto.checks import INTERVAL_SECONDS, STEP_SECONDS, IdleWork, Places
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
        self._places = Places(core.now)
        self._idle_work = IdleWork(core, self.idle, self._in_long_request, fault)
        self._given_up = False  # to automatic GC, because no place answers
        stop = config.full_collection == "stop"
        self.heap = ProcessHeap(
            core,
            stop=stop,
            space_checks=_may_space_checks(config),
            may_tenure=lambda: self._places.answer,
            on_pressure_collection=self._idle_work.stand_by,
        )
        self._ended = False
        self._adjusting = False  # whether some thread is setting thresholds
        self._swept = False  # whether the last piece of idle work was a sweep step
        self._at_idle = at_idle
        own = rollback.original.thresholds
        self._rules = Rules(self.heap, config.max_pause_ns, config.gc_budget, own, rss())

    def start(self) -> None:
        self._begin()
        self._adjust_without_requests()
        if not gc.get_threshold()[0]:  # no collection comes by itself that would ask
            self._idle_work.ask()

    def _begin(self) -> None:
        # What is there now is tenured in any case. If no place answers, it is given back.
        self._places.note_answer()
        self._rules.begin(self._rss())
        self._places.forget()

    @property
    def stats(self) -> AutoStats:
        return self._rules.stats

    def check(self, rss: int) -> None:
        """At a boundary: do what is due."""
        if self._ended:
            return
        try:
            self._note_answer()
            self._repair()
            self._adjust_thresholds(self._rules.safety_net.thresholds())
            self._rules.check(rss)
        finally:
            self._idle_work.stand_by()

    def note_explicit_full(self) -> None:
        """In the gc callback: an explicit full collection begins."""
        if not self._ended:
            self.heap.thaw()

    def note_collection(self, event: Event) -> None:
        """In the gc callback: a collection of automatic GC, or of somebody else, has ended."""
        if self._ended:
            return
        if event.generation and self._places.are_to_be_asked():
            self._ask_places()
        if self._given_up or not self._rules.wants_external(event):
            return
        more = self._rules.after_external(event, self._rss())
        if not self._core.boundaries():
            self._adjust_without_requests()
        if more:
            self._idle_work.ask(INTERVAL_SECONDS)

    def _repair(self) -> None:
        if self.heap.lost:
            self._rules.tenure_again("somebody else has thawed it, or has frozen more")

    def ask(self) -> None:
        """In the gc callback: have idle work done soon, if there is a place for it."""
        self._idle_work.ask()

    def _ask_places(self) -> None:
        """Find out whether there is still a place to do idle work. If none answers, leave
        everything to automatic GC: nobody sees to what is out of its reach."""
        rss = self._rss()
        self._places.note_asked(rss)
        self._idle_work.ask()
        if self._given_up or not self._places.are_silent(rss):
            return
        self._given_up = True
        coordinator.give_up()
        self.heap.give_up()
        self._adjust_thresholds(self._rollback.original.thresholds)
        self._rules.note_given_up()

    def _note_answer(self) -> None:
        self._places.note_answer()
        if self._given_up:
            self._given_up = False
            self._rules.tenure_again("a place has answered")

    def after_fork(self) -> None:
        self._adjusting = self._given_up = False
        self._idle_work.after_fork()
        self.heap.after_fork()
        self._begin()

    def stop(self) -> None:
        """Do nothing from now on."""
        self._ended = True
        self._idle_work.stop()

    def end(self) -> None:
        """Give back the tenured objects."""
        self.stop()
        self.heap.tenured.end()

    def _adjust_without_requests(self) -> None:
        """Without a place that answers, the thresholds are those that were found: young objects may
        be large, and nobody would see them pile up."""
        own = self._rollback.original.thresholds
        wanted = self._rules.thresholds_without_requests()
        self._adjust_thresholds(wanted if self._places.answer else own)

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

    def _in_long_request(self) -> None:
        """In the middle of a request, and no boundary has come for a while. It may go on without
        end, so its young garbage is to come to no more than without gcctl."""
        if not self._given_up:
            self._adjust_thresholds(self._rules.safety_net.thresholds_at_idle())

    def idle(self) -> float | None:
        """Do one thing that boundaries would do, while none comes. Returns the seconds until the
        next call, or None, as `IdleWork` wants them."""
        if self._ended:
            return None
        self._at_idle()
        self._note_answer()
        self._repair()
        self._swept = coordinator.running is not None and not self._swept
        if self._swept:
            coordinator.sweep_step()
            return STEP_SECONDS
        owed = self._rules.check(self._rss(), boundary=False)
        marks = self._core.boundaries() > 0
        if not marks:
            self._adjust_without_requests()
        if coordinator.running is not None:
            return STEP_SECONDS
        if owed:
            return INTERVAL_SECONDS
        if marks:
            # Code that allocates from here on is no request, and no check sees what it allocates.
            self._adjust_thresholds(self._rules.safety_net.thresholds_at_idle())
        return None


def _may_space_checks(config: Config) -> bool:
    """Whether checks may be further apart than `check_interval`. A user who sets a memory limit
    wants to know in time when it is passed. A user who sets a longer interval has said how long."""
    limited = config.memory_limit is not None or config.recycle_above is not None
    return not limited and config.check_interval <= PRESETS["auto"].check_interval
