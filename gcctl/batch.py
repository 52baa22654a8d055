"""Batch work: automatic GC held off while something large is built, one collection at its end."""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from gcctl import _impl
from gcctl._protocol import REASONS, Core
from gcctl.automatic import automatic_gc
from gcctl.config import disabled

T = TypeVar("T")

FULL = 2
YOUNG = 0
REQUESTED = REASONS.index("requested")


class Batches:
    """The batches of a process, whichever threads they are in: the last one to end collects."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running = 0
        self.epoch = 0
        """Moves when all batches are made to end; who was in one then has nothing to leave."""
        self._check: Callable[[], object] | None = None
        self._interval = 0.0
        self._older = False  # than the controller
        self._watching = False

    def enter(self) -> None:
        automatic_gc.hold()
        self._running += 1
        if self._check is not None and not self._watching:
            self._watching = True
            try:
                _thread.start_new_thread(self._watch, ())
            except RuntimeError:  # no more threads: memory goes unwatched
                self._watching = False

    def leave(self) -> None:
        self._running -= 1
        try:
            if not self._running:
                self._core.collect(FULL, REQUESTED)
        finally:
            automatic_gc.release()

    def end(self) -> None:
        """All of them, wherever they are."""
        self.epoch += 1
        while self._running:
            self._running -= 1
            automatic_gc.release()

    def check(self) -> None:
        if self._check is not None:
            self._check()

    def installed(self, check: Callable[[], object] | None, interval: float) -> None:
        """A controller is there: `check` memory every `interval` seconds (None: not at all)."""
        self._older = self._running > 0
        self._check, self._interval = check, interval

    def uninstalled(self) -> None:
        """Batches begun since then end with the controller, so that all is as it was before."""
        self._check = None
        if not self._older:
            self.end()

    def after_fork(self) -> None:
        """In the child, which may not be the one to finish the work, and needs a working GC."""
        self.epoch += 1
        self._running = 0
        self._watching = False
        automatic_gc.after_fork()

    def _watch(self) -> None:
        """A thread that looks at memory: a batch has no boundaries at which to do it."""
        try:
            while self._running and self._check is not None:
                self.check()
                time.sleep(self._interval)
        finally:
            self._watching = False


batches = Batches(_impl.core)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=batches.after_fork)


class Batch:
    """`with gcctl.batch():`; may be entered again, also while entered."""

    def __init__(self) -> None:
        self._entered = 0
        self._epoch = 0

    def __enter__(self) -> Batch:
        if disabled():
            return self
        if self._epoch != batches.epoch:
            self._entered, self._epoch = 0, batches.epoch
        batches.enter()
        self._entered += 1
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered and self._epoch == batches.epoch:
            self._entered -= 1
            batches.leave()


def batch() -> Batch:
    """A context manager: automatic GC is held off within it, and one full collection ends it.

    For work that builds much and throws little away, where automatic GC goes through all of it
    again and again. It acts with or without `install()`. Nested batches, and batches of other
    threads, are part of the outermost: the last one to end collects, also when it ends by an
    exception. Automatic GC that was off stays off.

    With a `memory_limit` installed, memory is watched meanwhile, by a thread.
    """
    return Batch()


def batched_gc(iterable: Iterable[T], *, every: int = 10) -> Iterator[T]:
    """Iterate in a batch: chunk after chunk of something large, with memory under control.

    After each item memory is checked as by `check_memory()`, after `every` items generation 0 is
    collected; a full collection ends it, also when the loop is left early. Raises ValueError
    unless `every` is a whole number of at least 1.
    """
    if type(every) is not int or every < 1:
        raise ValueError(f"every: {every!r} is not accepted; expected a whole number of at least 1")
    return _in_batch(iter(iterable), every)


def _in_batch(items: Iterator[T], every: int) -> Iterator[T]:
    with batch():
        for number, item in enumerate(items, start=1):
            yield item
            del item  # else it would be in memory still
            batches.check()
            if number % every == 0:
                _impl.core.collect(YOUNG, REQUESTED)
