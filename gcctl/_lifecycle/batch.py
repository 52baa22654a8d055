"""Batch work: automatic GC held off while something large is built, one collection at its end."""

from __future__ import annotations

import _thread
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from gcctl._config.config import disabled
from gcctl._config.fields import shown
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._process import twins

T = TypeVar("T")

FULL = 2
YOUNG = 0
REQUESTED = REASONS.index("requested")


class Entry:
    """One time that a batch was entered."""

    __slots__ = ("batch",)

    def __init__(self, batch: weakref.ref[Batch]) -> None:
        self.batch = batch


class Watcher:
    """A thread that looks at memory: a batch has no boundaries at which to do it."""

    def __init__(self, check: Callable[[], object], interval: float) -> None:
        self._check = check
        self._interval = interval
        self._stop = _thread.allocate_lock()
        self._stop.acquire()

    def start(self) -> None:
        _thread.start_new_thread(self._run, ())

    def stop(self) -> None:
        """Once."""
        self._stop.release()

    def _run(self) -> None:
        self._check()
        while not self._stop.acquire(timeout=self._interval):
            self._check()


class Batches:
    """The batches of a process, whichever threads they are in: the last one to end collects.

    Without a lock, as AutomaticGC is.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: dict[Entry, bool] = {}
        """Whether a controller was there when it was entered."""
        self._controlled = False
        self._check: Callable[[], object] | None = None
        self._interval = 0.0
        self._watcher: Watcher | None = None

    def enter(self, entry: Entry) -> None:
        """`end` undoes it, also where it was interrupted."""
        self.repair()
        self._running[entry] = self._controlled
        automatic_gc.hold(entry)
        self._watch()

    def leave(self, entry: Entry) -> None:
        """Does nothing for one that has been made to end."""
        if self._remove(entry):
            self._core.collect(FULL, REQUESTED)
        self.end(entry)
        self.repair()

    def end(self, entry: Entry) -> None:
        """Without a collection. May be asked again where it was interrupted."""
        self._remove(entry)
        automatic_gc.release(entry)

    def repair(self) -> None:
        """Let go for batches that are over, where signals that raise have kept them from it."""
        if self._core.collecting():  # perhaps the last collection of one, which holds on for it
            return
        for holder in automatic_gc.holders:
            if type(holder) is Entry and holder not in self._running:
                automatic_gc.release(holder)

    def dropped(self, batch: weakref.ref[Batch]) -> None:
        """Nobody can leave it any more."""
        for entry in list(self._running):
            if entry.batch is batch:
                self.end(entry)

    def check(self) -> None:
        check = self._check
        if check is not None:
            check()

    def installed(self, check: Callable[[], object] | None, interval: float) -> None:
        """A controller is there: `check` memory every `interval` seconds (None: not at all)."""
        self._controlled = True
        self._check, self._interval = check, interval
        if self._running:
            self._watch()

    def uninstalled(self) -> None:
        """Batches begun since then end with the controller, so that all is as it was before."""
        self._controlled = False
        self._check = None
        self._unwatch()
        since = [entry for entry, controlled in list(self._running.items()) if controlled]
        if since and len(since) == len(self._running) and automatic_gc.enabled:
            # Else the first allocations afterwards would stop for all that has been built.
            self._core.collect(YOUNG, REQUESTED)
        for entry in since:
            self.end(entry)
        self.repair()

    def after_fork(self) -> None:
        """In the child, which may not be the one to finish the work, and needs a working GC."""
        self._running = {}
        self._watcher = None
        automatic_gc.after_fork()

    def _remove(self, entry: Entry) -> bool:
        """Whether it was the last one."""
        if entry not in self._running:  # with the next two lines one step
            return False
        del self._running[entry]
        last = not self._running
        if last:
            self._unwatch()
            if self._running:  # entered in between, when there was a watcher still
                self._watch()
        return last

    def _watch(self) -> None:
        check = self._check
        if check is None:
            return
        watcher = Watcher(check, self._interval)
        if self._watcher is not None:  # with the assignment below one step
            return
        self._watcher = watcher
        try:
            watcher.start()
        except RuntimeError:  # no more threads: memory goes unwatched
            self._watcher = None

    def _unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()


batches = Batches(twins.core)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=batches.after_fork)


class Batch:
    """`with gcctl.batch():`; may be entered again, also while entered.

    One that nobody has any more, and that so cannot be left, ends without a collection.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __enter__(self) -> Batch:
        entry = Entry(weakref.ref(self, batches.dropped))
        try:
            if not disabled():
                batches.enter(entry)
            # Last: another thread that leaves the same object takes what was entered.
            self._entries.append(entry)
        except BaseException:
            batches.end(entry)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entries:  # with the next two lines one step
            entry = self._entries[-1]
            del self._entries[-1]
            try:
                batches.leave(entry)
            finally:
                batches.end(entry)


def batch() -> Batch:
    """A context manager: automatic GC is held off within it, and one full collection ends it.

    For work that builds much and throws little away, where automatic GC goes through all of it
    again and again. It acts with or without `install()`. Nested batches, and batches of other
    threads, are part of the outermost: the last one to end collects, also when it ends by an
    exception. Automatic GC that was off stays off. `gcctl.uninstall()` ends the batches that were
    begun since `install()`.

    With a `memory_limit` installed, memory is watched meanwhile, by a thread.
    """
    return Batch()


def batched_gc(iterable: Iterable[T], *, every: int = 10) -> Iterator[T]:
    """Iterate in a batch: chunk after chunk of something large, with memory under control.

    After each item memory is checked as by `check_memory()`, after `every` items generation 0 is
    collected. A full collection ends it, also when the loop is left early and the iterator dropped.
    Raises ValueError unless `every` is a whole number of at least 1.
    """
    if type(every) is not int or every < 1:
        raise ValueError(
            f"every: {shown(every)} is not accepted; expected a whole number of at least 1"
        )
    return _in_batch(iter(iterable), every)


def _in_batch(items: Iterator[T], every: int) -> Iterator[T]:
    active = not disabled()
    number = 0
    with batch():
        while True:
            try:
                item = [next(items)]
            except StopIteration:
                return
            yield item.pop()  # an item in a variable, or in enumerate(), would stay in memory
            number += 1
            if active:
                batches.check()
                if number % every == 0:
                    twins.core.collect(YOUNG, REQUESTED)
