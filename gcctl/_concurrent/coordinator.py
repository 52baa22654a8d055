"""The concurrent full collections of this process: one at a time, or stop the world instead."""

from __future__ import annotations

import importlib
from _weakref import ref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from gcctl._base import log
from gcctl._base.clock import monotonic, sleep
from gcctl._base.installed_files import demand_same_interface
from gcctl._base.late import importing
from gcctl._base.public import public
from gcctl._concurrent.collection import (
    BUSY,
    INTERRUPTED,
    NEVER_BEGAN,
    UNATTENDED,
    UNINSTALLED,
    ConcurrentCollection,
)
from gcctl._concurrent.feasibility import Feasibility
from gcctl._concurrent.staggering import turn
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS
from gcctl._interpreter import mechanisms
from gcctl._memory.protocol import Memory
from gcctl._memory.resident import rss_bytes
from gcctl._process import twins
from gcctl._process.forked import in_child

if TYPE_CHECKING:
    from gcctl._concurrent.cycle_profile import CycleProfile, Cycles

FULL = 2

SLICE_NS = 1_000_000
"""How long a slice of the sweep is to take, unless a quarter of `max_pause` is less."""

PREPARED_NS = 1_000_000_000
"""How long the answer of `prepare()` holds."""

REAP_SECONDS = 0.2
"""How long `wait_for_children()` waits at most."""


@public
class ConcurrentStats(NamedTuple):
    """The concurrent collections since `install()`."""

    started: int = 0
    collected: int = 0
    """Collections that were completed."""
    void: int = 0
    fallbacks: int = 0
    """Full collections that stopped the world because they could not be concurrent."""
    objects_collected: int = 0
    start_pause_max_ns: int = 0
    sweep_pause_max_ns: int = 0
    child_cpu_ns: int = 0
    """CPU time of all children."""
    child_memory_bytes: int = 0
    """The memory of the child that took most."""
    tracked_objects: int = 0
    """Tracked objects in the last collection."""


class Coordinator:
    """The concurrent collections of a process, of which one runs at a time."""

    def __init__(self, core: Core, memory: Memory) -> None:
        self.core = core
        self._cycles: Cycles | None = None
        self.slice_ns = SLICE_NS
        self.stop_the_world: Callable[[int], int] = self._stop_the_world
        self._memory = memory
        self._window_class: Callable[[], Any] | None = None
        self._reap: Callable[[], bool] = lambda: True
        self._forget_children: Callable[[], None] = lambda: None
        self._cpu_of_killed_ns: Callable[[], int] = lambda: 0
        self._not_built = _not_built(core)
        if not self._not_built:
            from gcctl._concurrent import compiled

            self._window_class = compiled.Window
            self._reap, self._forget_children = compiled.all_are_reaped, compiled.after_fork
            self._cpu_of_killed_ns = compiled.cpu_of_killed_ns
        self._running: ref[ConcurrentCollection] | None = None
        self._kept: ConcurrentCollection | None = None
        """The running collection, while there are boundaries that take it to its end."""
        self._has_boundaries = False
        self._logged: set[str] = set()
        self._stats = ConcurrentStats()
        self._killed_before_ns = 0
        self._feasibility = Feasibility()
        self._prepared: tuple[int, str] | None = None  # when, and why not

    @property
    def missing(self) -> str:
        """Why this process has no concurrent collections; "": it has."""
        return mechanisms.missing("concurrent") or self._not_built

    @property
    def cycles(self) -> Cycles:
        """What the collections have found. Imported late: at the start there is nothing."""
        with importing:
            from gcctl._concurrent.cycle_profile import Cycles
        new = Cycles()
        if self._cycles is None:  # with the next line one step
            self._cycles = new
        return self._cycles

    @property
    def stats(self) -> ConcurrentStats:
        killed_ns = self._cpu_of_killed_ns() - self._killed_before_ns
        return self._stats._replace(child_cpu_ns=self._stats.child_cpu_ns + killed_ns)

    @property
    def collected(self) -> int:
        """As in `stats`, but quick: it is read at every check."""
        return self._stats.collected

    @property
    def running(self) -> ConcurrentCollection | None:
        """The collection that has begun and not ended."""
        found = self._running() if self._running is not None else None
        return found if found is not None and found.outcome is None else None

    def prepare(self) -> None:
        """A full collection is to begin soon: find out now whether it should be concurrent.

        This takes as long as all other parts of the pause at its start, except the making of the
        child.
        """
        if not self.missing and not import_the_rest():
            now = self.core.now()
            self._prepared = now, self._feasibility.why_not(rss_bytes(self._memory), now)

    def _why_not(self, rss: int) -> str:
        prepared, self._prepared = self._prepared, None
        now = self.core.now()
        if prepared is not None and now - prepared[0] < PREPARED_NS:
            return prepared[1]
        return self._feasibility.why_not(rss, now)

    def start(self, reason: int, *, anyway: bool = False) -> ConcurrentCollection:
        """Begin a concurrent collection, or stop the world for that reason if it is not possible or
        not feasible. `anyway`: feasible or not. While one runs, return that."""
        self.core.notice_fork()
        handle = ConcurrentCollection(self, self._window_class and self._window_class())
        mine = ref(handle, self._dropped)
        while True:
            # From here to the assignment is one step: no other thread and no signal interrupts it.
            seen = self._running
            if seen is None:
                self._running = mine
                break
            running = seen()
            if running is not None and running.outcome is None:
                return running
            self._dropped(seen)
        try:
            self._begin(handle, reason, anyway)
        except BaseException:  # raised by a signal handler
            handle._cancel(INTERRUPTED)
            raise
        finally:
            handle._begun()
            if handle.outcome is not None:
                turn.over()
        return handle

    def _begin(self, handle: ConcurrentCollection, reason: int, anyway: bool) -> None:
        rss = rss_bytes(self._memory)
        missing = self.missing
        why = f"no concurrent collections: {missing}" if missing else import_the_rest()
        if not why and not anyway:
            why = self._why_not(rss)
        if not why:
            why = handle._begin(*self._feasibility.capacity(rss))
        if why == BUSY:
            handle._cancel(BUSY)
            return
        if why:
            if self._running is not None and self._running() is handle:
                self._running = None
            self._fall_back(handle, why, reason)
            return
        start_ns = handle.measured.start_pause_ns
        self._feasibility.note_start(rss, start_ns)
        self._stats = self._stats._replace(
            started=self._stats.started + 1,
            start_pause_max_ns=max(self._stats.start_pause_max_ns, start_ns),
        )
        if self._has_boundaries and handle.outcome is None:
            self._keep(handle)

    def _dropped(self, handle: ref[ConcurrentCollection]) -> None:
        """Nobody holds that collection any more."""
        if self._running is handle:
            self._running = None

    def wait_for_children(self) -> None:
        """Wait until children that were killed are gone, but not for long. On a busy machine they
        take time to end. Then the next collection, or a boundary, takes care of them."""
        deadline = monotonic.seconds() + REAP_SECONDS
        while not self._reap() and monotonic.seconds() < deadline:
            sleep(0.001)

    def sweep_step(self) -> None:
        """At a boundary: take the next step of the running collection."""
        held = self._kept
        if held is not None and held.outcome is None:
            held._step()
        else:
            self._let_go(held)
            self._step_while_needed()

    def _stop_the_world(self, reason: int) -> int:
        return self.core.collect(FULL, reason)

    def installed(
        self, max_pause_ns: int, stop_the_world: Callable[[int], int] | None = None
    ) -> None:
        """gcctl is installed: there are boundaries, and perhaps another way to stop the world."""
        self.stop_the_world = stop_the_world or self._stop_the_world
        self._stats = ConcurrentStats()
        self._killed_before_ns = self._cpu_of_killed_ns()
        self.slice_ns = min(SLICE_NS, max_pause_ns // 4)
        self._has_boundaries = True
        running = self.running
        if running is not None:
            self._keep(running)

    def uninstalled(self) -> None:
        """There are no boundaries any more. A running collection ends void."""
        self._has_boundaries = False
        self.slice_ns = SLICE_NS
        self.stop_the_world = self._stop_the_world
        running = self.running
        if running is not None:
            running._cancel(UNINSTALLED)
        self._kept = None
        self.wait_for_children()

    def give_up(self) -> None:
        """Nobody takes a running collection to its end: it ends void."""
        running = self.running
        if running is not None:
            running._cancel(UNATTENDED)

    def ended(self, collection: ConcurrentCollection) -> None:
        """The collection has its outcome."""
        turn.over()
        seen = self._running
        if seen is not None and seen() is collection:
            self._dropped(seen)  # another thread may have begun the next one
        self._let_go(collection)
        self._step_while_needed()
        if collection.outcome == NEVER_BEGAN:
            return
        self._feasibility.note_end(collection, self.core.now())
        stats, run = self._stats, collection.measured
        collected = collection.outcome == "collected"
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
        """In the child of a fork: the running collection is the parent's."""
        running = self.running
        self._kept = self._running = self._prepared = None
        self._stats = ConcurrentStats()
        self._forget_children()
        if running is not None:
            running._after_fork()

    def _keep(self, handle: ConcurrentCollection) -> None:
        self._kept = handle
        self.core.want_sweep_steps(True)

    def _let_go(self, handle: ConcurrentCollection | None) -> None:
        """Another thread may have put the next one there. The two lines are one step."""
        if self._kept is handle:
            self._kept = None

    def _step_while_needed(self) -> None:
        """Ask for sweep steps at boundaries until the last child is gone."""
        self.core.want_sweep_steps(self._has_boundaries and not self._reap())
        if self._kept is not None:  # another thread has begun one meanwhile
            self.core.want_sweep_steps(True)

    def _fall_back(self, handle: ConcurrentCollection, why: str, reason: int) -> None:
        began = self.core.now()
        if handle._fall_back(why, reason):
            self._feasibility.note_stop(self.core.now() - began)
        self._stats = self._stats._replace(fallbacks=self._stats.fallbacks + 1)
        if why not in self._logged:
            self._logged.add(why)
            with suppress(Exception):  # a broken logging setup must not break anything
                log.warning("a full collection stopped the world: %s", why)


def import_the_rest() -> str:
    """Import what a collection needs and most programs do not. Returns why that is not possible.

    The process may have lost its files by now: it has changed its root, or its user, or an update
    has replaced them.
    """
    try:
        with importing:
            import gcctl._concurrent.cycle_profile
            import gcctl._memory.cgroup
            import gcctl._memory.limits  # noqa: F401
    except ImportError as error:
        return f"a part of gcctl cannot be imported any more: {error}"
    return ""


def _not_built(core: Core) -> str:
    if core.implementation != "c":
        return mechanisms.NO_CORE
    try:
        compiled = importlib.import_module("gcctl._concurrent.compiled")
    except ImportError as error:
        return f"not supported here: {error}"
    demand_same_interface(compiled)
    return ""


coordinator = Coordinator(twins.core, twins.memory)
"""The coordinator of this process."""

in_child(coordinator.after_fork)


def collect_concurrently() -> ConcurrentCollection:
    """Begin a full collection beside the process. While one runs, return that.

    The process stops only to make a child process: 20 to 40 ms per GB of resident memory. The child
    finds the unreachable objects. CPython's collector then frees them in this process, in slices.
    Where gcctl is installed, each request boundary frees one slice. `finish()` frees all that is
    left.

    This needs Linux, CPython's generational collector with the GIL, and the compiled core. Where it
    is not possible, an ordinary full collection stops the world at once. The outcome then says so
    and why, and the log says so once. Nothing is raised for such reasons.
    """
    return coordinator.start(REASONS.index("requested"))


def cycle_profile() -> CycleProfile:
    """Who creates cyclic garbage, by what the concurrent collections of this process have found.

    The profile is empty until the first of them is completed.
    """
    return coordinator.cycles.profile()
