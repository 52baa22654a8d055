"""One concurrent full collection, from the child that is made to the last object swept.

The steps themselves are in `_concurrent.pyx`; here is when they are taken, and what makes a
collection void. docs/concurrent.md explains the whole.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from _thread import get_ident
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

from gcctl._base.public import public
from gcctl._concurrent.cycle_profile import Cycles, type_name
from gcctl._core.protocol import Core
from gcctl._core.records import REASONS

FULL = 2
YOUNG = 0
CONCURRENT = REASONS.index("concurrent")

CHILD_SECONDS = 120
"""How long a child may take, on the clock and of CPU time. One million objects take it 0.1 s to
0.5 s; but it runs only when nobody else wants the processor."""

CHECK_NS = 5_000_000
"""Shortest time between two looks at whether the child is alive."""

SAMPLE_NS = 2_000_000_000
"""How long a child may take after its answer, to find out where cycles run."""

BUSY_NS = 5_000_000_000
"""How long `finish` waits for other collections to end: not for ever, it may be in one itself."""

SMALLEST_SLICE = 200
LARGEST_SLICE = 50_000
"""Candidates that a slice goes through. The first ones take ten times as long each as the later
ones: nearly every object is on a page that the two processes still share."""

OTHER_COLLECTION = "another full collection came in between"
UNINSTALLED = "gcctl was uninstalled"
INTERRUPTED = "its start was interrupted"
FORKED = "the process was forked"
BUSY = "another collection was running, or a fork being made"
NEVER_BEGAN = f"void: {BUSY}"
"""The outcome of one that was prevented, which is to be tried again."""
PASSING = frozenset({OTHER_COLLECTION, UNINSTALLED, INTERRUPTED, FORKED, BUSY})
"""Why a collection can be void without a failure of its own."""

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


@public
class ConcurrentRun(NamedTuple):
    """What one concurrent collection took, and found."""

    start_pause_ns: int = 0
    """The stop at the start: the making of the child."""
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
    """Memory that was the child's own when it had its answer: its tables, and pages that were
    copied because it, or this process meanwhile, wrote to them; 0 where it could not tell."""
    table_bytes: int = 0
    """Of these, the tables."""


class Owner(Protocol):
    """What a collection needs of whoever begins it."""

    core: Core
    cycles: Cycles
    slice_ns: int
    """What a slice is to take."""

    def stop_the_world(self, reason: int) -> int:
        """A full collection for that reason; the unreachable objects found, or -1."""

    def ended(self, collection: ConcurrentCollection) -> None:
        """Its outcome is known, and everything as it was before."""

    def wait_for_children(self) -> None:
        """A little, for those that were killed."""


@public
class ConcurrentCollection:
    """A concurrent full collection, as `collect_concurrently()` returns it.

    One that nobody holds any more ends at once, unless a controller is installed, whose boundaries
    take it to its end.
    """

    def __init__(self, owner: Owner, window: Any) -> None:
        self._owner = owner
        self._window = window
        self._outcome: str | None = None
        self._run = ConcurrentRun()
        self._stepping = get_ident()  # the thread that takes a step at this moment, or 0
        self._ending = False
        self._decided = ""  # the outcome, where its end was interrupted
        self._busy_ns = 0  # since when no slice could be swept because of other collections
        self._answered = False
        self._started_ns = 0
        self._check_ns = 0
        self._types: list[tuple[str, int]] = []  # of unreachable objects, and how many
        self._untyped = 0  # objects of further types
        self._slice = SMALLEST_SLICE
        self._full_collections = 0  # CPython's own, when it began

    @property
    def outcome(self) -> str | None:
        """None while it runs; then "collected", "void: …" or "fallback: …", with the reason.

        Void is a collection that was given up: nothing was freed, or not everything. Fallback is
        one that stopped the world because it could not be concurrent.
        """
        return self._outcome

    @property
    def failed(self) -> bool:
        """Whether it is void for a reason that may well come again."""
        why = (self._outcome or "").removeprefix("void: ")
        return why != self._outcome and why not in PASSING

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

        Other threads run between the slices. Called from within a collection, by a finalizer, it
        cannot sweep, and returns what was collected so far when it has tried for 5 seconds.
        """
        pause = 0.0002
        self._busy_ns = 0
        while self._outcome is None and self._stepping != get_ident():
            slices = self._run.slices
            self._step()
            if self._busy_ns and self._is_hopeless():
                break
            if self._outcome is None and self._run.slices == slices:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.005)
        self._owner.wait_for_children()
        return self._run.objects_collected

    def _is_hopeless(self) -> bool:
        """Another collection prevents a slice: is it this thread's, which is in a finalizer?"""
        alone = len(sys._current_frames()) == 1
        return alone or self._owner.core.now() - self._busy_ns > BUSY_NS

    def _begin(self, capacity: int, table_bytes: int) -> str:
        """Make the child. Returns "", or why that cannot be."""
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
        """What can be done now; one slice at most."""
        me = get_ident()
        if self._ending or self._stepping:  # with the next line one step
            return
        self._stepping = me
        try:
            outcome = self._decided or self._next(sweep)
            if outcome:
                self._end(outcome)
        finally:
            self._stepping = 0

    def _next(self, sweep: bool) -> str:
        """Returns the outcome, if that is the end."""
        if not self._answered:
            return self._wait()
        return self._sweep() if sweep else ""

    def _wait(self) -> str:
        """Look for the answer. Returns the outcome, if that is the end."""
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
            types, self._untyped = window.types()
            self._types = [
                (name if cls is None else type_name(cls), objects) for name, objects, cls in types
            ]
            self._answered = True
            return self._spoiled()
        if now < self._check_ns:
            return ""
        self._check_ns = now + CHECK_NS
        # It may have answered and ended since.
        if window.reaped() and not window.state():
            return f"void: the child {_ended(window.usage_of_child()[1])}"
        if now - self._started_ns > CHILD_SECONDS * 10**9:
            return f"void: the child took more than {CHILD_SECONDS} s"
        return self._spoiled()

    def _sweep(self) -> str:
        """One slice. Returns the outcome, if that is the end."""
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
        # Down at once, up with care: objects differ.
        self._slice = max(SMALLEST_SLICE, min(wanted, self._slice * 5 // 4, LARGEST_SLICE))

    def _spoiled(self) -> str:
        if _full_collections() != self._full_collections:
            return f"void: {OTHER_COLLECTION}"
        why = self._window.spoiled()
        return f"void: {why}" if why else ""

    def _end(self, outcome: str) -> None:
        """Everything as it was before."""
        if self._ending:  # with the next line one step; another thread, or a finalizer, was first
            return
        self._ending = True
        try:
            self._decided = outcome
            memory_bytes = self._window.memory_of_child()
            self._window.close()
            cpu_ns, _ = self._window.usage_of_child()
            self._run = self._run._replace(child_cpu_ns=cpu_ns, child_memory_bytes=memory_bytes)
            self._outcome = outcome
        except BaseException:  # a signal handler's: the next step ends it
            self._ending = False
            raise
        self._owner.ended(self)

    def _cancel(self, why: str) -> None:
        self._end(f"void: {why}")

    def _fall_back(self, why: str, reason: int) -> bool:
        """Stop the world instead; False where another collection is running."""
        collected = self._owner.stop_the_world(reason)
        self._run = self._run._replace(objects_collected=max(collected, 0))
        self._ending = True
        self._outcome = f"fallback: {why}" if collected >= 0 else NEVER_BEGAN
        return collected >= 0

    def _after_fork(self) -> None:
        """In a forked process, to which the child does not belong."""
        self._ending = True
        self._window.after_fork()
        self._outcome = f"void: {FORKED}"


def _full_collections() -> int:
    """All that CPython has run by itself, or for anybody."""
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
