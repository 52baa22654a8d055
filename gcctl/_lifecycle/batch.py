"""Batch work: automatic GC held off while something large is built, one collection at its end."""

from __future__ import annotations

import gc
from _weakref import ref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from gcctl._config.config import disabled
from gcctl._config.fields import shown
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS
from gcctl._interpreter.asking import NEVER, Alarm, AlarmThread, asks
from gcctl._interpreter.automatic_gc import automatic_gc
from gcctl._memory.resident import rss_bytes
from gcctl._process import twins
from gcctl._process.forked import in_child

T = TypeVar("T")

FULL = 2
YOUNG = 0
REQUESTED = REASONS.index("requested")

UNANSWERED_NS = 10_000_000
"""If the main thread does not check memory so long after it was asked, automatic GC is enabled when
memory has reached the limit."""


class Entry:
    """A batch that has been entered and not left yet. The same batch may have several."""

    __slots__ = ("batch",)

    def __init__(self, batch: ref[Batch]) -> None:
        self.batch = batch


def _no_room() -> int:
    return 0


class Batches:
    """The batches of a process, in whichever threads they are: the last one to end collects.

    A batch has no boundaries, so the main thread is asked to check memory. Where it does not
    answer, or cannot be asked, automatic GC is enabled once memory has reached the limit: it then
    collects in the threads of the program.

    There is no lock, for the reason that `AutomaticGC` gives.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: dict[Entry, bool] = {}
        """The value: whether gcctl was installed when the batch was entered."""
        self._controlled = False
        self._check: Callable[[], object] | None = None
        self._interval_ns = 0
        self._room_bytes: Callable[[], int] = _no_room
        self._watches = False  # whether memory is checked in intervals
        self._alarm = Alarm("BATCH", self._check_when_asked)
        self._thread = AlarmThread(self._check_in_thread)

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

    def installed(
        self,
        check: Callable[[], object] | None,
        interval_ns: int,
        room_bytes: Callable[[], int] = _no_room,
    ) -> None:
        """gcctl is installed: have `check` called in each interval (None: not at all).
        `room_bytes()`: by how much memory may grow until it reaches its limit."""
        self._controlled = True
        self._check, self._interval_ns, self._room_bytes = check, interval_ns, room_bytes
        if self._running:
            self._start_checks()

    def uninstalled(self) -> None:
        """End the batches that were begun since then, so that all is as it was before."""
        self._controlled = False
        # This object lives as long as the process, and what it refers to would not be finalized.
        self._check, self._room_bytes = None, _no_room
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
        self._watches = False
        self._thread.after_fork()
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
        """Have memory checked at once, and then in each interval."""
        if self._check is not None and not self._watches:  # with the next line one step
            self._watches = True
            self._ask_at(self._core.now())

    def _stop_checks(self) -> None:
        self._watches = False
        self._alarm.clear()
        self._thread.clear()

    def _ask_at(self, time_ns: int) -> None:
        if not asks():
            self._thread.set(time_ns)
            return
        # Automatic GC that was off before the batch stays off.
        enable_at = time_ns + UNANSWERED_NS if automatic_gc.enabled else NEVER
        self._alarm.set(time_ns, enable_at, rss_bytes(twins.memory) + self._room_bytes())

    def _check_when_asked(self, waited_ns: int) -> None:
        try:
            self.check()
        finally:
            if self._watches:
                self._ask_at(self._core.now() + self._interval_ns)

    def _check_in_thread(self) -> None:
        """It is a thread of gcctl's: no memory is collected, and enabling automatic GC comes
        last."""
        if not self._watches or not automatic_gc.enabled:
            return
        if self._room_bytes() > 0:
            self._thread.set(self._core.now() + self._interval_ns)
            return
        gc.enable()


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

    If gcctl is installed with a `memory_limit`, the main thread checks memory during the batch. If
    it is busy with something else, automatic GC is enabled when memory reaches the limit.
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
