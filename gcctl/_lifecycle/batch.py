"""Batch work: automatic GC held off while something large is built, one collection at its end."""

from __future__ import annotations

import _thread
from _weakref import ref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from gcctl._base.late import before_a_thread
from gcctl._config.config import disabled
from gcctl._config.fields import shown
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._process import twins
from gcctl._process.forked import in_child

T = TypeVar("T")

FULL = 2
YOUNG = 0
REQUESTED = REASONS.index("requested")


class Entry:
    """A batch that has been entered and not left yet. The same batch may have several."""

    __slots__ = ("batch",)

    def __init__(self, batch: ref[Batch]) -> None:
        self.batch = batch


class MemoryThread:
    """Checks memory in a thread of its own, because a batch has no boundaries for that."""

    def __init__(self, check: Callable[[], object], interval: float) -> None:
        before_a_thread()
        self._check = check
        self._interval = interval
        self._stop = _thread.allocate_lock()
        self._stop.acquire()

    def start(self) -> None:
        _thread.start_new_thread(self._run, ())

    def stop(self) -> None:
        """To be called once. Does not wait for the thread."""
        self._stop.release()

    def _run(self) -> None:
        self._check()
        while not self._stop.acquire(timeout=self._interval):
            self._check()


class Batches:
    """The batches of a process, in whichever threads they are: the last one to end collects.

    There is no lock, for the reason that `AutomaticGC` gives.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: dict[Entry, bool] = {}
        """The value: whether gcctl was installed when the batch was entered."""
        self._controlled = False
        self._check: Callable[[], object] | None = None
        self._interval = 0.0
        self._memory_thread: MemoryThread | None = None

    def enter(self, entry: Entry) -> None:
        """`end()` undoes it, even where it was interrupted."""
        self._core.notice_fork()
        self.repair()
        self._running[entry] = self._controlled
        automatic_gc.hold(entry)
        self._start_checks()

    def leave(self, entry: Entry) -> None:
        """End this batch; collect if it was the last. Does nothing where it has ended already."""
        self._core.notice_fork()
        if self._remove(entry):
            self._core.collect(FULL, REQUESTED)
        self.end(entry)
        self.repair()

    def end(self, entry: Entry) -> None:
        """End this batch without a collection. To be called again where it was interrupted."""
        self._remove(entry)
        automatic_gc.release(entry)

    def repair(self) -> None:
        """Switch automatic GC on again where a signal handler that raised has kept a batch from
        doing it."""
        if self._core.collecting():  # perhaps for a batch that ends, which keeps it off meanwhile
            return
        for holder in automatic_gc.holders:
            if type(holder) is Entry and holder not in self._running:
                automatic_gc.release(holder)

    def dropped(self, batch: ref[Batch]) -> None:
        """End it: nobody has this batch any more, so nobody can leave it."""
        for entry in list(self._running):
            if entry.batch is batch:
                self.end(entry)

    def check(self) -> None:
        check = self._check
        if check is not None:
            check()

    def installed(self, check: Callable[[], object] | None, interval: float) -> None:
        """gcctl is installed: have `check` called every `interval` seconds (None: not at all)."""
        self._controlled = True
        self._check, self._interval = check, interval
        if self._running:
            self._start_checks()

    def uninstalled(self) -> None:
        """End the batches that were begun since then, so that all is as it was before."""
        self._controlled = False
        self._check = None
        self._stop_checks()
        since = [entry for entry, controlled in list(self._running.items()) if controlled]
        if since and len(since) == len(self._running) and automatic_gc.enabled:
            # Else the first allocations afterwards would cause a pause for all that was built.
            self._core.collect(YOUNG, REQUESTED)
        for entry in since:
            self.end(entry)
        self.repair()

    def after_fork(self) -> None:
        """In the child: no batch goes on there. It needs automatic GC, and perhaps only its parent
        finishes the work."""
        self._running = {}
        self._memory_thread = None
        automatic_gc.after_fork()

    def _remove(self, entry: Entry) -> bool:
        """Returns whether it was the last one."""
        # One step, up to the call: see AutomaticGC.
        if entry not in self._running:
            return False
        del self._running[entry]
        last = not self._running
        if last:
            self._stop_checks()
            if self._running:  # a batch was entered in between, and found the thread still there
                self._start_checks()
        return last

    def _start_checks(self) -> None:
        check = self._check
        if check is None:
            return
        thread = MemoryThread(check, self._interval)
        if self._memory_thread is not None:  # one step with the assignment below
            return
        self._memory_thread = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads: memory is not checked
            self._memory_thread = None

    def _stop_checks(self) -> None:
        thread, self._memory_thread = self._memory_thread, None
        if thread is not None:
            thread.stop()


batches = Batches(twins.core)
in_child(batches.after_fork)


class Batch:
    """`with gcctl.batch():`; may be entered again, also while entered.

    A batch that is dropped without having been left ends without a collection.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __enter__(self) -> Batch:
        entry = Entry(ref(self, batches.dropped))
        try:
            if not disabled():
                batches.enter(entry)
            # Last: another thread that leaves the same batch takes the entry from this list.
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
        if self._entries:  # one step with the next two lines
            entry = self._entries[-1]
            del self._entries[-1]
            try:
                batches.leave(entry)
            finally:
                batches.end(entry)


def batch() -> Batch:
    """A context manager: automatic GC is held off within it, and one full collection ends it.

    For work that builds much and throws little away: automatic GC would go through all of it again
    and again. It works with or without `install()`.

    Batches may be nested, and several threads may have one at the same time. The last one to end
    collects, also when it ends by an exception. If automatic GC was off before, it stays off.
    `gcctl.uninstall()` ends the batches that were begun since `install()`.

    If gcctl is installed with a `memory_limit`, a thread checks memory during the batch.
    """
    return Batch()


def batched_gc(iterable: Iterable[T], *, every: int = 10) -> Iterator[T]:
    """Iterate in a batch: chunk after chunk of something large, with memory under control.

    Memory is checked after each item, as by `check_memory()`. Generation 0 is collected after every
    `every` items. A full collection ends the batch, also when the loop is left early and the
    iterator is dropped. Raises ValueError unless `every` is a whole number of at least 1.
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
            yield item.pop()  # a variable, or enumerate(), would keep the item in memory
            number += 1
            if active:
                batches.check()
                if number % every == 0:
                    twins.core.collect(YOUNG, REQUESTED)
