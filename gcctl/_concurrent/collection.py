"""One concurrent full collection, from the making of the child to the last object swept.

This module decides when each step is taken, and what makes a collection void. The steps themselves
are in `compiled.pyx`. docs/concurrent.md explains the whole.
"""

from __future__ import annotations

import gc
import os
import sys
from _thread import get_ident
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gcctl._base.clock import sleep
from gcctl._base.public import public
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS

if TYPE_CHECKING:
    from gcctl._concurrent.cycle_profile import Cycles

FULL = 2
YOUNG = 0
CONCURRENT = REASONS.index("concurrent")

CHILD_SECONDS = 120
"""How long a child may take: of elapsed time, and of CPU time. It needs 0.1 s to 0.5 s of CPU time
for one million objects, but it runs only when nobody else wants the processor."""

CHECK_NS = 5_000_000
"""Shortest time between two tests whether the child is alive."""

SAMPLE_NS = 2_000_000_000
"""How long a child may take, after its answer, to find out through which attributes cycles run."""

BUSY_NS = 5_000_000_000
"""How long `finish` waits for other collections to end. It may have been called within one."""

SMALLEST_SLICE = 200
LARGEST_SLICE = 50_000
"""A slice of the sweep goes through so many candidates. The first ones take ten times as long as
the later ones, because nearly every object is on a page that the two processes still share."""

OTHER_COLLECTION = "another full collection came in between"
UNINSTALLED = "gcctl was uninstalled"
INTERRUPTED = "its start was interrupted"
FORKED = "the process was forked"
UNATTENDED = "nobody was there to sweep"
BUSY = "another collection was running, or a fork being made"
NEVER_BEGAN = f"void: {BUSY}"
"""The outcome of a collection that was prevented. It is to be tried again."""
PASSING = frozenset({OTHER_COLLECTION, UNINSTALLED, INTERRUPTED, FORKED, UNATTENDED, BUSY})
"""The reasons why a collection is void that are no failure of its own."""

# What the child's answers mean, in the order of GCCTL_ANSWER_… in csrc/concurrent/shared/answer.h.
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


@public
class ConcurrentRun(NamedTuple):
    """What one concurrent collection took, and what it found."""

    start_pause_ns: int = 0
    """The pause at the start: the making of the child."""
    answer_ns: int = 0
    """From the start until the child's answer was seen."""
    slices: int = 0
    """Pauses of the sweep."""
    sweep_pause_max_ns: int = 0
    sweep_total_ns: int = 0
    tracked_objects: int = 0
    """All objects that the child found in the collector's lists, including frozen ones."""
    unreachable: int = 0
    candidates: int = 0
    """Unreachable objects that the child named. The others are left to the next collection."""
    dropped: int = 0
    """Candidates that were left alone because a part of their component was freed meanwhile."""
    components: int = 0
    """Connected groups of candidates. Each group is freed in one pause."""
    largest_component: int = 0
    """The number of its objects."""
    objects_collected: int = 0
    """Unreachable objects that CPython found: in the sweep, or in the collection that stopped the
    world instead."""
    child_cpu_ns: int = 0
    child_memory_bytes: int = 0
    """Memory of the child alone, at the time of its answer: its tables, and the pages that were
    copied because the child or this process wrote to them. 0 where it is not known."""
    table_bytes: int = 0
    """The part of `child_memory_bytes` that its tables take."""


class Owner(Protocol):
    """What a collection needs of its coordinator."""

    core: Core
    slice_ns: int
    """How long a slice of the sweep is to take."""

    @property
    def cycles(self) -> Cycles: ...

    def stop_the_world(self, reason: int) -> int:
        """Run a full collection for that reason. Returns the number of unreachable objects found;
        -1 where another collection prevents it."""

    def ended(self, collection: ConcurrentCollection) -> None:
        """The collection has ended: its outcome is known, and all is as before it began."""

    def wait_for_children(self) -> None:
        """Wait a little for children that were killed."""


@public
class ConcurrentCollection:
    """A concurrent full collection, as `collect_concurrently()` returns it.

    While gcctl is installed, boundaries take it to its end. Otherwise it ends at once when nobody
    holds it any more.
    """

    def __init__(self, owner: Owner, window: Any) -> None:
        self._owner = owner
        self._window = window
        self._outcome: str | None = None
        self._run = ConcurrentRun()
        self._stepping = get_ident()  # the thread that is in a step, or 0
        self._ending = False
        self._decided = ""  # the outcome, if the end was interrupted
        self._busy_ns = 0  # since when other collections prevent each slice; 0: none does
        self._answered = False
        self._started_ns = 0
        self._check_ns = 0
        self._types: list[tuple[str, int]] = []  # of unreachable objects, and their numbers
        self._untyped = 0  # objects of further types
        self._slice = SMALLEST_SLICE
        self._full_collections = 0  # CPython's own, when it began

    @property
    def outcome(self) -> str | None:
        """None while it runs. Then "collected", "void: …" or "fallback: …", with the reason.

        A void collection was given up: nothing was freed, or not everything. A fallback stopped
        the world because it could not be concurrent.
        """
        return self._outcome

    @property
    def failed(self) -> bool:
        """Whether it is void for a reason that is likely to come again."""
        why = (self._outcome or "").removeprefix("void: ")
        return why != self._outcome and why not in PASSING

    @property
    def ready(self) -> bool:
        """Whether the child has answered, so that the sweep can begin, or the collection has
        ended."""
        if self._outcome is None and not self._answered:
            self._step(sweep=False)
        return self._outcome is not None or self._answered

    @property
    def measured(self) -> ConcurrentRun:
        """What it took and found up to now."""
        return self._run

    def finish(self) -> int:
        """Wait for the child if it has not answered, sweep everything that is left, and return the
        number of unreachable objects that were collected.

        Other threads run between the slices. If a finalizer calls this within a collection, it
        cannot sweep. It then tries for 5 seconds and returns what was collected so far.
        """
        seconds = 0.0002
        self._busy_ns = 0
        while self._outcome is None and self._stepping != get_ident():
            slices = self._run.slices
            self._step()
            if self._busy_ns and self._is_hopeless():
                break
            if self._outcome is None and self._run.slices == slices:
                sleep(seconds)
                seconds = min(seconds * 1.5, 0.005)
        self._owner.wait_for_children()
        return self._run.objects_collected

    def _is_hopeless(self) -> bool:
        """Whether the collection that prevents each slice is most likely this thread's own. The
        thread is in a finalizer then."""
        alone = len(sys._current_frames()) == 1
        return alone or self._owner.core.now() - self._busy_ns > BUSY_NS

    def _begin(self, capacity: int, table_bytes: int) -> str:
        """Make the child. Returns why that is not possible; "": it is made."""
        core = self._owner.core
        try:
            began = core.now()
            action = partial(self._window.open, capacity, table_bytes, CHILD_SECONDS)
            if core.collect(FULL, CONCURRENT, action) < 0:
                return BUSY
            self._started_ns = core.now()
            self._check_ns = self._started_ns
            self._full_collections = _full_collections()
            self._run = ConcurrentRun(start_pause_ns=self._started_ns - began)
            if self._ending:  # a finalizer has uninstalled gcctl, or forked
                self._window.close()
        except (OSError, MemoryError, RuntimeError) as error:
            return f"no child could be made: {error}"
        return ""

    def _begun(self) -> None:
        """Steps may be taken from now on."""
        self._stepping = 0

    def _step(self, *, sweep: bool = True) -> None:
        """Do what can be done now: one slice at most."""
        self._owner.core.notice_fork()  # else a child would sweep for its parent
        me = get_ident()
        if self._ending or self._stepping:  # with the next line this is one step
            return
        self._stepping = me
        try:
            outcome = self._decided or self._next(sweep)
            if outcome:
                self._end(outcome)
        finally:
            self._stepping = 0

    def _next(self, sweep: bool) -> str:
        """Returns the outcome if it has ended, else ""."""
        if not self._answered:
            return self._wait()
        return self._sweep() if sweep else ""

    def _wait(self) -> str:
        """Read the answer, if there is one. Returns the outcome if it has ended, else ""."""
        window, now = self._window, self._owner.core.now()
        state = window.state()
        if state:
            if state != DONE:
                return f"void: {REFUSALS[state]}"
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
            from gcctl._concurrent.cycle_profile import type_name

            types, self._untyped = window.types()
            self._types = [
                (name if cls is None else type_name(cls), objects) for name, objects, cls in types
            ]
            self._answered = True
            return self._spoiled()
        if now < self._check_ns:
            return ""
        self._check_ns = now + CHECK_NS
        # The child may have answered and ended since `state()` was read.
        if window.reaped() and not window.state():
            return f"void: the child {_ended(window.usage_of_child()[1])}"
        if now - self._started_ns > CHILD_SECONDS * 10**9:
            return f"void: the child took more than {CHILD_SECONDS} s"
        return self._spoiled()

    def _sweep(self) -> str:
        """Sweep one slice. Returns the outcome if the collection has ended, else ""."""
        window, owner = self._window, self._owner
        reason = self._spoiled()
        if reason:
            return reason
        if window.left():
            began = owner.core.now()
            seen = sum(window.seen())
            collected = owner.core.collect(YOUNG, CONCURRENT, partial(window.slice, self._slice))
            now = owner.core.now()
            if collected >= 0:
                self._busy_ns = 0
                self._measure(now - began, sum(window.seen()) - seen)
            else:
                self._busy_ns = self._busy_ns or began
            return ""
        answered_ns = self._started_ns + self._run.answer_ns
        if window.reaped() or owner.core.now() - answered_ns > SAMPLE_NS:
            owner.cycles.add(self._types, self._untyped, window.steps())
            return "collected"
        return ""

    def _measure(self, pause_ns: int, seen: int) -> None:
        run = self._run
        self._run = run._replace(
            slices=run.slices + 1,
            sweep_pause_max_ns=max(run.sweep_pause_max_ns, pause_ns),
            sweep_total_ns=run.sweep_total_ns + pause_ns,
            objects_collected=self._window.collected(),
            dropped=self._window.seen()[1],
        )
        wanted = seen * self._owner.slice_ns // max(pause_ns, 1)
        # Slices get smaller at once and larger slowly, because objects differ.
        self._slice = max(SMALLEST_SLICE, min(wanted, self._slice * 5 // 4, LARGEST_SLICE))

    def _spoiled(self) -> str:
        """The outcome, if something has made the child's picture useless; else ""."""
        if _full_collections() != self._full_collections:
            return f"void: {OTHER_COLLECTION}"
        why = self._window.spoiled()
        return f"void: {why}" if why else ""

    def _end(self, outcome: str) -> None:
        """Put everything back as it was before."""
        # Another thread, or a finalizer, may have been first. With the next line this is one step.
        if self._ending:
            return
        self._ending = True
        try:
            self._decided = outcome
            memory_bytes = self._window.memory_of_child()
            self._window.close()
            cpu_ns, _ = self._window.usage_of_child()
            self._run = self._run._replace(child_cpu_ns=cpu_ns, child_memory_bytes=memory_bytes)
            self._outcome = outcome
        except BaseException:  # raised by a signal handler: the next step ends the collection
            self._ending = False
            raise
        self._owner.ended(self)

    def _cancel(self, why: str) -> None:
        self._end(f"void: {why}")

    def _fall_back(self, why: str, reason: int) -> bool:
        """Stop the world instead. False where another collection prevents it."""
        collected = self._owner.stop_the_world(reason)
        self._run = self._run._replace(objects_collected=max(collected, 0))
        self._ending = True
        self._outcome = f"fallback: {why}" if collected >= 0 else NEVER_BEGAN
        return collected >= 0

    def _after_fork(self) -> None:
        """In a forked process. The child is not its own."""
        self._ending = True
        self._window.after_fork()
        self._outcome = f"void: {FORKED}"


def _full_collections() -> int:
    """The number of full collections that CPython has run, by itself or for anybody."""
    return int(gc.get_stats()[FULL]["collections"])


def _ended(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        import signal

        number = os.WTERMSIG(status)
        with suppress(ValueError):
            return f"was ended by {signal.Signals(number).name}"
        return f"was ended by signal {number}"
    return "ended without an answer"
