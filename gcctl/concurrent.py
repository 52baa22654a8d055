"""Concurrent full collections: a child finds the garbage, and this process frees it in slices.

The steps themselves are in `_concurrent.pyx`; here is when they are taken, what makes a collection
void, and when to stop the world instead. docs/concurrent.md explains the whole.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, NamedTuple

from gcctl import _impl
from gcctl._protocol import REASONS, Core, Memory
from gcctl.cgroup import MemoryGroups
from gcctl.collectors import COLLECTOR
from gcctl.cycles import CycleProfile, Cycles, type_name
from gcctl.limits import available_bytes, rss_bytes

logger = logging.getLogger("gcctl")

FULL = 2
YOUNG = 0
CONCURRENT = REASONS.index("concurrent")

CHILD_SECONDS = 120
"""How long a child may take, on the clock and of CPU time. One million objects take it 0.1 s to
1 s; but it runs only when nobody else wants the processor."""

LOOK_NS = 5_000_000
"""Shortest time between two looks at whether the child is alive."""

SLICE_NS = 2_000_000
"""What a slice of the sweep is to take, or a quarter of `max_pause` if that is less."""

FIRST_SLICE = 2_000
SMALLEST_SLICE = 200
LARGEST_SLICE = 50_000
"""Candidates that a slice goes through."""

SMALLEST_OBJECT = 48
"""Bytes of the smallest object that can be in a cycle, with its header."""

TABLES_PER_OBJECT = 32
"""Bytes: more than the child needs for its tables, of all kinds, per tracked object."""

WRITTEN_SHARE = 0.1
"""Of the resident set: what the process is expected to write to while the child runs, and so to
have copied."""

FASTEST_NS_PER_OBJECT = 60
"""What a stop-the-world full collection takes at least, per tracked object."""

SHORT_START_NS = 10_000_000
"""A start that is expected to stop the process for less than this is not compared with anything."""

STARTS_KEPT = 4
"""Of so many starts the fastest tells what the next one is expected to take."""

# What the child's answers mean, in the order of GCCTL_ANSWER_… in csrc/answer.h.
DONE = 1
REFUSALS = (
    "",
    "",
    "the child got no memory",
    "the child's tables would have been too large",
    "the collector's lists were not found",
    "an object began where none can, or was in the lists twice",
    "the child lost its parent",
)


class ConcurrentRun(NamedTuple):
    """What one concurrent collection took, and found."""

    start_pause_ns: int = 0
    """The stop at the start: a collection of generation 0, and the making of the child."""
    answer_ns: int = 0
    """From the start until the child's answer was seen."""
    slices: int = 0
    """Stops of the sweep."""
    sweep_pause_max_ns: int = 0
    sweep_total_ns: int = 0
    tracked_objects: int = 0
    """All that the child found in the collector's lists, frozen objects included."""
    unreachable: int = 0
    candidates: int = 0
    """Unreachable objects that it told of; the others are left to the next collection."""
    dropped: int = 0
    """Candidates left out because something of their component was freed in the meantime."""
    components: int = 0
    """Connected groups of candidates, each of which is freed in one stop."""
    largest_component: int = 0
    """Objects."""
    objects_collected: int = 0
    """Unreachable objects found by CPython, in the sweep or where the world was stopped instead."""
    child_cpu_ns: int = 0
    child_memory_bytes: int = 0
    """Memory that was the child's own in the end: its tables, and pages that were copied because it,
    or this process meanwhile, wrote to them; 0 where it could not tell."""
    table_bytes: int = 0
    """Of these, the tables."""


class ConcurrentStats(NamedTuple):
    """The concurrent collections since `install()`."""

    started: int = 0
    collected: int = 0
    """Those that were completed."""
    void: int = 0
    fallbacks: int = 0
    """Full collections that stopped the world because they could not be concurrent."""
    objects_collected: int = 0
    start_pause_max_ns: int = 0
    sweep_pause_max_ns: int = 0
    child_cpu_ns: int = 0
    """CPU time of all children."""
    child_memory_bytes: int = 0
    """Of the child that took most."""
    tracked_objects: int = 0
    """Of the last one."""


class ConcurrentCollection:
    """A concurrent full collection, as `collect_concurrently()` returns it.

    One that nobody holds any more ends at once, unless a controller is installed, whose boundaries
    take it to its end.
    """

    def __init__(self, concurrent: Concurrent, window: Any) -> None:
        self._concurrent = concurrent
        self._window = window
        self._outcome: str | None = None
        self._run = ConcurrentRun()
        self._stepping = 0  # the thread that takes a step at this moment
        self._answered = False
        self._started_ns = 0
        self._look_ns = 0
        self._types: list[tuple[str, int]] = []  # of unreachable objects, and how many
        self._untyped = 0  # objects of further types
        self._slice = FIRST_SLICE
        self._full_collections = 0  # CPython's own, when it began

    @property
    def outcome(self) -> str | None:
        """None while it runs; then "collected", "void: …" or "fallback: …", with the reason.

        Void is a collection that was given up: nothing was freed, or not everything. Fallback is
        one that stopped the world because it could not be concurrent.
        """
        return self._outcome

    @property
    def ready(self) -> bool:
        """Whether the child has answered, so that a sweep can begin; or all is over."""
        if self._outcome is None and not self._answered:
            self._step(sweep=False)
        return self._outcome is not None or self._answered

    @property
    def measured(self) -> ConcurrentRun:
        """What it took and found, up to now."""
        return self._run

    def finish(self) -> int:
        """Wait for the child if it must, sweep everything that is left, and return how many
        unreachable objects were collected.

        Other threads run between the slices. Called from within a slice, by a finalizer, it returns
        what was collected so far.
        """
        pause = 0.0002
        while self._outcome is None and self._stepping != get_ident():
            left = self._window.left() if self._answered else 0
            self._step()
            if self._outcome is None and not left:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.005)
        return self._run.objects_collected

    def _begin(self, capacity: int, table_bytes: int) -> str:
        """Make the child. Returns "", or why that cannot be."""
        core = self._concurrent.core
        self._stepping = get_ident()
        try:
            began = core.now()
            action = partial(self._window.open, capacity, table_bytes, CHILD_SECONDS)
            if core.collect(FULL, CONCURRENT, action) < 0:
                return "a collection was running"
            self._started_ns = core.now()
            self._look_ns = self._started_ns
            self._full_collections = _full_collections()
            self._run = ConcurrentRun(start_pause_ns=self._started_ns - began)
        except (OSError, MemoryError, RuntimeError) as error:
            return f"no child could be made: {error}"
        finally:
            self._stepping = 0
        return ""

    def _step(self, *, sweep: bool = True) -> None:
        """What can be done now; one slice at most."""
        if self._outcome is not None or self._stepping:  # with the next line one step
            return
        self._stepping = get_ident()
        try:
            reason = self._wait() if not self._answered else self._sweep() if sweep else ""
            if reason:
                self._end(reason)
        finally:
            self._stepping = 0

    def _wait(self) -> str:
        """Look for the answer. Returns the outcome, if that is the end."""
        window, now = self._window, self._concurrent.core.now()
        state = window.state()
        if state:
            self._answered = True
            tracked, unreachable, candidates, components, largest, table_bytes = window.counts()
            self._run = self._run._replace(
                answer_ns=now - self._started_ns,
                tracked_objects=tracked,
                unreachable=unreachable,
                candidates=candidates,
                components=components,
                largest_component=largest,
                table_bytes=table_bytes,
            )
            if state != DONE:
                return f"void: {REFUSALS[state]}"
            types, self._untyped = window.types()
            self._types = [
                (name if cls is None else type_name(cls), objects) for name, objects, cls in types
            ]
            return self._spoiled()
        if now < self._look_ns:
            return ""
        self._look_ns = now + LOOK_NS
        # It may have answered and ended since.
        if window.reaped() and not window.state():
            return f"void: the child {_ended(window.usage_of_child()[1])}"
        if now - self._started_ns > CHILD_SECONDS * 10**9:
            return f"void: the child took more than {CHILD_SECONDS} s"
        return self._spoiled()

    def _sweep(self) -> str:
        """One slice. Returns the outcome, if that is the end."""
        window, concurrent = self._window, self._concurrent
        reason = self._spoiled()
        if reason:
            return reason
        if window.left():
            began = concurrent.core.now()
            seen = sum(window.seen())
            collected = concurrent.core.collect(
                YOUNG, CONCURRENT, partial(window.slice, self._slice)
            )
            if collected >= 0:
                self._measure(concurrent.core.now() - began, sum(window.seen()) - seen, collected)
            return ""
        if window.reaped():
            concurrent.cycles.add(self._types, self._untyped, window.steps())
            return "collected"
        return ""

    def _measure(self, pause_ns: int, seen: int, collected: int) -> None:
        run = self._run
        self._run = run._replace(
            slices=run.slices + 1,
            sweep_pause_max_ns=max(run.sweep_pause_max_ns, pause_ns),
            sweep_total_ns=run.sweep_total_ns + pause_ns,
            objects_collected=run.objects_collected + collected,
            dropped=self._window.seen()[1],
        )
        wanted = seen * self._concurrent.slice_ns // max(pause_ns, 1)
        # Down at once, up with care: objects differ.
        self._slice = max(SMALLEST_SLICE, min(wanted, self._slice * 2, LARGEST_SLICE))

    def _spoiled(self) -> str:
        if _full_collections() != self._full_collections:
            return "void: another full collection came in between"
        if not self._window.intact():
            return "void: the object allocator was replaced in the meantime"
        return ""

    def _end(self, outcome: str) -> None:
        """Everything as it was before."""
        if self._outcome is not None:  # a finalizer in the slice has had it cancelled
            return
        memory_bytes = self._window.memory_of_child()
        self._window.close()
        cpu_ns, _ = self._window.usage_of_child()
        self._run = self._run._replace(child_cpu_ns=cpu_ns, child_memory_bytes=memory_bytes)
        self._outcome = outcome
        self._concurrent.ended(self)

    def _cancel(self, why: str) -> None:
        if self._outcome is None:
            self._end(f"void: {why}")

    def _fall_back(self, why: str, reason: int) -> None:
        """Stop the world instead."""
        collected = self._concurrent.core.collect(FULL, reason)
        self._run = self._run._replace(objects_collected=max(collected, 0))
        self._outcome = f"fallback: {why}"

    def _after_fork(self) -> None:
        """In a forked process, to which the child does not belong."""
        self._window.after_fork()
        self._outcome = "void: the process was forked"


class Concurrent:
    """The concurrent collections of a process, of which one runs at a time."""

    def __init__(self, core: Core, memory: Memory) -> None:
        self.core = core
        self.cycles = Cycles()
        self.slice_ns = SLICE_NS
        self._memory = memory
        self._groups: MemoryGroups | None = None
        self._window_class, self._missing = _support(core)
        self._running: weakref.ref[ConcurrentCollection] | None = None
        self._held: ConcurrentCollection | None = None
        """The same, where there are boundaries to take it to its end."""
        self._attended = False
        self._said: set[str] = set()
        self._stats = ConcurrentStats()
        # Of the last collections, for what the next ones are expected to take.
        self._tracked = 0
        self._start_ns_per_byte: deque[float] = deque(maxlen=STARTS_KEPT)
        self._stop_ns = 0

    @property
    def stats(self) -> ConcurrentStats:
        return self._stats

    @property
    def running(self) -> ConcurrentCollection | None:
        found = self._running() if self._running is not None else None
        return found if found is not None and found.outcome is None else None

    def start(self, reason: int) -> ConcurrentCollection:
        """Begin one, or stop the world for that reason where it cannot be. Returns the one that is
        running, if any."""
        running = self.running
        if running is not None:
            return running
        rss = rss_bytes(self._memory)
        handle = ConcurrentCollection(self, self._window_class and self._window_class())
        why = self._missing or self._doubt(rss)
        if not why:
            self._running = weakref.ref(handle)  # now: a finalizer may start another one
            why = handle._begin(max(rss // SMALLEST_OBJECT, 1), self._table_bytes(rss))
        if why:
            self._running = None
            self._fall_back(handle, why, reason)
            return handle
        self._start_ns_per_byte.append(handle.measured.start_pause_ns / max(rss, 1))
        self._stats = self._stats._replace(
            started=self._stats.started + 1,
            start_pause_max_ns=max(self._stats.start_pause_max_ns, handle.measured.start_pause_ns),
        )
        if self._attended:
            self._attend(handle)
        return handle

    def attend(self) -> None:
        """At a boundary: the next step."""
        held = self._held
        if held is not None:
            held._step()
        else:
            self.core.attend(False)

    def installed(self, max_pause_ns: int) -> None:
        """There are boundaries now."""
        self._stats = ConcurrentStats()
        self.slice_ns = min(SLICE_NS, max_pause_ns // 4)
        self._attended = True
        running = self.running
        if running is not None:
            self._attend(running)

    def uninstalled(self) -> None:
        self._attended = False
        self.slice_ns = SLICE_NS
        running = self.running
        if running is not None:
            running._cancel("gcctl was uninstalled")
        self._held = None

    def ended(self, handle: ConcurrentCollection) -> None:
        self._held = None
        self._running = None
        self.core.attend(False)
        stats, run = self._stats, handle.measured
        collected = handle.outcome == "collected"
        self._tracked = run.tracked_objects or self._tracked
        self._stats = stats._replace(
            collected=stats.collected + collected,
            void=stats.void + (not collected),
            objects_collected=stats.objects_collected + run.objects_collected,
            sweep_pause_max_ns=max(stats.sweep_pause_max_ns, run.sweep_pause_max_ns),
            child_cpu_ns=stats.child_cpu_ns + run.child_cpu_ns,
            child_memory_bytes=max(stats.child_memory_bytes, run.child_memory_bytes),
            tracked_objects=run.tracked_objects or stats.tracked_objects,
        )

    def after_fork(self) -> None:
        running = self.running
        self._held = self._running = None
        self._stats = ConcurrentStats()
        if running is not None:
            running._after_fork()

    def _attend(self, handle: ConcurrentCollection) -> None:
        self._held = handle
        self.core.attend(True)

    def _table_bytes(self, rss: int) -> int:
        """The most the child may take for its tables."""
        tracked = self._tracked * 2 or rss // SMALLEST_OBJECT
        return 2**24 + tracked * TABLES_PER_OBJECT

    def _doubt(self, rss: int) -> str:
        """Why it had better not be concurrent this time; or ""."""
        start_ns = rss * min(self._start_ns_per_byte, default=0)
        stop_ns = self._stop_ns or self._tracked * FASTEST_NS_PER_OBJECT
        if stop_ns and start_ns > max(stop_ns, SHORT_START_NS):
            return "making the child would take longer than to stop the world"
        if self._groups is None:
            self._groups = MemoryGroups()
        expected = min(self._table_bytes(rss), rss // 4) + int(rss * WRITTEN_SHARE) + 2**24
        if available_bytes(self._groups) < expected:
            return "too little memory is free"
        return ""

    def _fall_back(self, handle: ConcurrentCollection, why: str, reason: int) -> None:
        began = self.core.now()
        handle._fall_back(why, reason)
        self._stop_ns = self.core.now() - began
        self._stats = self._stats._replace(fallbacks=self._stats.fallbacks + 1)
        if why not in self._said:
            self._said.add(why)
            with suppress(Exception):  # a broken logging setup must not break anything
                logger.warning("a full collection stopped the world: %s", why)


def _support(core: Core) -> tuple[Callable[[], Any] | None, str]:
    """The class of windows, or None and why there is none."""
    if core.implementation != "c":
        return None, "concurrent collections need the compiled core"
    if COLLECTOR != "generational":
        return None, f"concurrent collections need the generational collector, not the {COLLECTOR}"
    try:
        from gcctl._concurrent import Window
    except ImportError as error:
        return None, f"concurrent collections are not supported here: {error}"
    return Window, ""


def _full_collections() -> int:
    """All that CPython has run by itself, or for anybody."""
    return int(gc.get_stats()[FULL]["collections"])


def _ended(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(ValueError):
            return f"was ended by {signal.Signals(number).name}"
        return f"was ended by signal {number}"
    return "ended without an answer"


concurrent = Concurrent(_impl.core, _impl.memory)
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=concurrent.after_fork)


def collect_concurrently() -> ConcurrentCollection:
    """Begin a full collection beside the process; while one runs, return that.

    The process stops for a collection of generation 0 and for the time it takes to make a child
    (about 20 ms per GB resident), instead of for a full collection. The child finds out what is
    unreachable, CPython's collector frees it here, in slices: one at each request boundary where
    gcctl is installed, the rest, or all of it, in `finish()`.

    Needs Linux, CPython's generational collector with the GIL, and the compiled core. Where it
    cannot be, the world is stopped for an ordinary full collection at once, which is logged once,
    and the outcome says so. It never fails for such reasons.
    """
    return concurrent.start(REASONS.index("requested"))


def cycle_profile() -> CycleProfile:
    """Who creates cyclic garbage: what the concurrent collections of this process have found.

    Empty until the first of them is completed.
    """
    return concurrent.cycles.profile()
