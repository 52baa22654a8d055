"""A service on a simulated heap and clock, thousands of times faster than life.

The core and the policy are real. The collector, the clock and the memory are made up. An object is
only a number: objects are made, promoted and die in cohorts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from fake_gc import FakeGC

from gcctl._auto.rules import YOUNG_AFTER, Rules
from gcctl._auto.safety_net import CPYTHONS_OWN
from gcctl._concurrent.collection import ConcurrentRun
from gcctl._core.protocol import Core, Orders
from gcctl._core.records import REASONS, Event, Tally

NS = 10**9
MS = 10**6
MIB = 2**20
PLACES = YOUNG, MIDDLE, RECENT, TENURED = range(4)
SCHEDULED, CONCURRENT = REASONS.index("scheduled"), REASONS.index("concurrent")

OBJECT_BYTES = 150
BASE_BYTES = 40 * MIB
VISIT_NS = 50
"""The time of a collection for each object that it goes through."""
FREE_NS = 200
"""The time of a collection for each object that it frees."""
AGED_NS = 500
"""The time per object of a full collection that stops the world, on an aged heap."""
CHILD_NS = 150
"""The CPU time per object of the child of a concurrent full collection."""
FORK_NS_PER_MIB = 20_000
IDLE_NS = 100 * MS
"""The time between two checks of the thread at idle."""
PIECE = 500
"""A program makes so many objects between two moments at which automatic GC may collect."""


@dataclass(frozen=True)
class Request:
    """What each request of a phase does."""

    every_ns: int = 40 * MS
    """From one request to the next."""
    cyclic: int = 100
    """Objects that are garbage in cycles when it ends."""
    kept: int = 0
    """Objects that live on."""
    lives: int = 0
    """For how many requests they live on; 0: for ever."""
    die_cyclic: float = 0.0
    """The part of them that is then garbage in cycles. The rest is freed by reference count."""


@dataclass(frozen=True)
class Phase:
    requests: int
    each: Request


@dataclass
class Cohort:
    objects: int
    die_cyclic: float
    place: int = YOUNG


@dataclass
class FullCollection:
    """A concurrent full collection, or (`ends_ns` 0) one that has stopped the world."""

    ends_ns: int
    garbage: list[int]
    measured: ConcurrentRun
    outcome: str | None = None


@dataclass
class Measured:
    """What was measured in a simulation."""

    requests: int = 0
    most_garbage_bytes: int = 0
    live_bytes: int = 0
    rss: int = 0
    full_collections: int = 0
    pauses_ns: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """By generation; 3: starts of concurrent collections and slices of their sweeps."""
    longest_ns: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    child_ns: int = 0
    middle_since_ns: int = 0
    """The longest time that objects waited in generation 1."""


class SimulatedService(FakeGC):
    """A process that serves one request after the other under the policy `auto`."""

    def __init__(
        self,
        core_class: type[Core],
        *,
        live: int = 100_000,
        concurrent: bool = True,
        tenures: bool = True,
        max_pause_ns: int = 10 * MS,
        budget: float = 0.01,
        busy: bool = False,
        idle_thread: bool = False,
    ) -> None:
        """`busy`: another request is in flight all the time. `idle_thread`: there is a thread that
        checks while no request ends."""
        super().__init__()
        self.measured = Measured()
        self.live = [0, 0, live, 0]
        self.garbage = [0, 0, 0, 0]
        self.rss = 0
        self.concurrent = concurrent
        self.turn_comes: Callable[[int], bool] = lambda waited_ns: True
        """Whether it is the turn of this process for a full collection."""
        self.swept_back = 0
        """A sweep moves so many tenured objects into generation 1: they live after all."""
        self.child_runs = True
        """Whether the children of concurrent collections get a processor."""
        self.prevented = False
        """Whether other collections prevent full ones."""
        self.completed = 0
        """Full collections up to now."""
        self.voids = False
        """Whether full collections end void."""
        self._idle_thread = idle_thread
        self._stands_by = False
        self._tenures = tenures
        self._cohorts: list[list[Cohort]] = [[], [], [], []]
        self._deaths: dict[int, list[Cohort]] = defaultdict(list)
        self._full: FullCollection | None = None
        self._middle_empty_ns = 0
        self._served = 0
        self._grow()
        self._start(core_class, max_pause_ns, budget)
        if busy:
            self.core.request().__enter__()

    def _start(self, core_class: type[Core], max_pause_ns: int, budget: float) -> None:
        self.core = core_class(
            collect=self.collect_and_promote,
            clock=self.clock,
            count=self.count,
            callbacks=self.callbacks,
        )
        orders = Orders(
            young_after=YOUNG_AFTER, check_interval_ns=100 * MS, external=True, tell_external=True
        )
        self.core.start(orders, self._notify)
        self.auto = Rules(_Heap(self), max_pause_ns, budget, CPYTHONS_OWN, self.rss)
        self.auto.begin(self.rss)

    def serve(self, *phases: Phase) -> Measured:
        """Serve them, and return what was measured meanwhile."""
        self.measured = Measured()
        for phase in phases:
            for _ in range(phase.requests):
                self._request(phase.each)
        self.measured.live_bytes = sum(self.live) * OBJECT_BYTES
        self.measured.rss = self.rss
        return self.measured

    @property
    def full_runs(self) -> bool:
        return self._full is not None

    @property
    def bytes_used(self) -> int:
        return self.bytes_used_by(sum(self.live) + sum(self.garbage))

    @staticmethod
    def bytes_used_by(objects: int) -> int:
        return BASE_BYTES + objects * OBJECT_BYTES

    def _grow(self) -> None:
        # Freed memory is used again, and not given back to the system.
        self.rss = max(self.rss, self.bytes_used)

    def _request(self, request: Request) -> None:
        measured = self.measured
        measured.requests += 1
        self._served += 1
        self.wait(request.every_ns)
        self._act(request)
        self._end_full()
        garbage = sum(self.garbage) * OBJECT_BYTES
        measured.most_garbage_bytes = max(measured.most_garbage_bytes, garbage)
        self._note_middle()
        waited = self.time_ns - self._middle_empty_ns
        measured.middle_since_ns = max(measured.middle_since_ns, waited)

    def _act(self, request: Request) -> None:
        with self.core.request():
            self._make(request, request.cyclic, request.kept)
            self._end_lives()

    def _make(self, request: Request, cyclic: int, kept: int) -> None:
        self.allocated += cyclic + kept
        self.garbage[YOUNG] += cyclic
        if kept:
            cohort = Cohort(kept, request.die_cyclic)
            self.live[YOUNG] += kept
            self._cohorts[YOUNG].append(cohort)
            if request.lives:
                self._deaths[self._served + request.lives].append(cohort)
        self._grow()

    def _end_lives(self) -> None:
        for cohort in self._deaths.pop(self._served, ()):
            self._die(cohort)

    def wait(self, ns: int) -> None:
        """Let time pass without a request."""
        ends_ns = self.time_ns + ns
        while self._stands_by and self.time_ns + IDLE_NS < ends_ns:
            self.time_ns += IDLE_NS
            self._check_at_idle()
        self.time_ns = max(self.time_ns, ends_ns)

    def _check_at_idle(self) -> None:
        self._end_full()
        self._stands_by = self.auto.check(self.rss, boundary=False)
        self._note_middle()

    def _note_middle(self) -> None:
        if not self.live[MIDDLE] + self.garbage[MIDDLE]:
            self._middle_empty_ns = self.time_ns

    def _die(self, cohort: Cohort) -> None:
        cyclic = int(cohort.objects * cohort.die_cyclic)
        self.live[cohort.place] -= cohort.objects
        self.garbage[cohort.place] += cyclic
        self.allocated = max(self.allocated - (cohort.objects - cyclic), 0)
        cohort.objects = 0

    def _notify(self, kind: str, event: Event | None) -> None:
        if kind == "check":
            self.auto.check(self.rss)
            self._stands_by = self._idle_thread

    def collect_and_promote(self, generation: int) -> int:
        if self._running:
            return 0
        places = range(generation + 1)
        visited = sum(self.live[place] + self.garbage[place] for place in places)
        self.collected = sum(self.garbage[place] for place in places)
        self.pause_ns = 1000 + visited * VISIT_NS + self.collected * FREE_NS
        self._note_pause(generation, self.pause_ns)
        # Within the collection, before the callbacks are called for its end.
        self.during.append(lambda: self._promote(generation, min(generation + 1, RECENT)))
        return self.collect(generation)

    def _note_pause(self, generation: int, pause_ns: int) -> None:
        measured = self.measured
        measured.pauses_ns[generation] += pause_ns
        measured.longest_ns[generation] = max(measured.longest_ns[generation], pause_ns)

    def _promote(self, up_to: int, to: int, *, garbage_too: bool = False) -> None:
        for place in range(up_to + 1):
            if place == to:
                if not garbage_too:
                    self.garbage[place] = 0
                continue
            self.live[to] += self.live[place]
            self.garbage[to] += self.garbage[place] if garbage_too else 0
            self.live[place] = self.garbage[place] = 0
            for cohort in self._cohorts[place]:
                cohort.place = to
            self._cohorts[to] += (cohort for cohort in self._cohorts[place] if cohort.objects)
            self._cohorts[place] = []

    # What the policy needs of the heap, beyond the core.

    def tenure(self) -> bool:
        if self._tenures:
            self.core.collect(YOUNG, SCHEDULED)
            self._promote(RECENT, TENURED, garbage_too=True)
            self.allocated = 0
        return self._tenures

    def begin_full(self) -> FullCollection:
        if self.prevented:
            return FullCollection(0, [], ConcurrentRun(), "void: simulated")
        self.measured.full_collections += 1
        tracked = sum(self.live) + sum(self.garbage)
        garbage = self.garbage.copy()
        run = ConcurrentRun(
            tracked_objects=tracked,
            objects_collected=sum(garbage),
            child_cpu_ns=tracked * CHILD_NS,
            sweep_total_ns=sum(garbage) * FREE_NS,
        )
        if self.concurrent:
            start_ns = self.rss // MIB * FORK_NS_PER_MIB
            self._stop(CONCURRENT, start_ns)
            self.measured.child_ns += run.child_cpu_ns
            self._full = FullCollection(self.time_ns + run.child_cpu_ns, garbage, run)
            return self._full
        self.stop_the_world()
        return FullCollection(0, garbage, replace_child(run), "fallback: simulated")

    def stop_the_world(self) -> int:
        if self._full is not None:
            self._full.outcome, self._full = "void: simulated", None
        garbage, live = sum(self.garbage), sum(self.live)
        self._stop(SCHEDULED, (live + garbage) * AGED_NS + garbage * FREE_NS, garbage)
        self.garbage = [0, 0, 0, 0]
        self.completed += 1
        return garbage

    def _stop(self, reason: int, pause_ns: int, collected: int = 0) -> None:
        def action() -> int:
            self.time_ns += pause_ns
            return collected

        self._note_pause(3, pause_ns)
        self.core.collect(2, reason, action)

    def _end_full(self) -> None:
        """When the child has answered, free what was garbage when the collection began."""
        full = self._full
        if full is None or self.time_ns < full.ends_ns or not self.child_runs:
            return
        self._full = None
        if self.voids:
            full.outcome = "void: simulated"
            return
        # Some of it was promoted since, or collected: only the sum is known.
        left = min(sum(full.garbage), sum(self.garbage))
        for place in reversed(PLACES):
            freed = min(left, self.garbage[place])
            self.garbage[place] -= freed
            left -= freed
        self.completed += 1
        self.core.collect(0, CONCURRENT, lambda: self._sweep(full))
        self._note_pause(3, full.measured.sweep_total_ns)
        back = min(self.swept_back, self.live[TENURED])
        self.live[TENURED] -= back
        self.live[MIDDLE] += back
        full.outcome = "collected"

    def _sweep(self, full: FullCollection) -> int:
        self.time_ns += full.measured.sweep_total_ns
        return full.measured.objects_collected


class SimulatedProgram(SimulatedService):
    """A program that marks no requests: those of a phase are parts of its work. Automatic GC
    collects by CPython's rules, with the thresholds that the policy wants."""

    def __init__(
        self, core_class: type[Core], *, live: int, concurrent: bool = True, alone: bool = False
    ) -> None:
        """`alone`: CPython's automatic GC, and no policy."""
        self._counts = [0, 0, 0]  # collections of the generation below; the first is not used
        self._long_lived = live
        self._long_lived_pending = 0
        self._alone = alone
        self._checks_at_ns = 0  # the thread at idle, if it stands by
        super().__init__(core_class, live=live, concurrent=concurrent, idle_thread=not alone)

    def _start(self, core_class: type[Core], max_pause_ns: int, budget: float) -> None:
        if not self._alone:
            super()._start(core_class, max_pause_ns, budget)

    @property
    def thresholds(self) -> tuple[int, int, int]:
        if self._alone:
            return CPYTHONS_OWN
        return self.auto.thresholds_without_requests()

    def wait(self, ns: int) -> None:
        """Let time pass until the next part of its work, with checks of the thread at idle."""
        ends_ns = self.time_ns + ns
        while self._stands_by and self._checks_at_ns <= ends_ns:
            self.time_ns = max(self.time_ns, self._checks_at_ns)
            self._check_at_idle()
            self._checks_at_ns = self.time_ns + IDLE_NS
        self.time_ns = max(self.time_ns, ends_ns)

    def _act(self, request: Request) -> None:
        pieces = (request.cyclic + request.kept) // PIECE + 1
        for piece in range(pieces):
            cyclic, kept = (
                total * (piece + 1) // pieces - total * piece // pieces
                for total in (request.cyclic, request.kept)
            )
            self._make(request, cyclic, kept)
            self._collect_automatically()
        self._end_lives()

    def _collect_automatically(self) -> None:
        young, middle, old = self.thresholds
        if self.allocated <= young:
            return
        generation = YOUNG
        if self._counts[RECENT] > old and self._long_lived_pending > self._long_lived // 4:
            generation = RECENT
        elif self._counts[MIDDLE] > middle:
            generation = MIDDLE
        self._counts[: generation + 1] = [0] * (generation + 1)
        if generation < RECENT:
            self._counts[generation + 1] += 1
        self.collect_and_promote(generation)

    def _promote(self, up_to: int, to: int, *, garbage_too: bool = False) -> None:
        before = self.live[RECENT]
        super()._promote(up_to, to, garbage_too=garbage_too)
        if to == TENURED:  # CPython does not subtract what was frozen
            return
        if up_to == MIDDLE:
            self._long_lived_pending += self.live[RECENT] - before
        elif up_to == RECENT:
            self._long_lived, self._long_lived_pending = self.live[RECENT], 0

    def _notify(self, kind: str, event: Event | None) -> None:
        if kind != "external" or event is None or not self.auto.wants_external(event):
            return
        if self.auto.after_external(event, self.rss) and not self._stands_by:
            self._stands_by = True
            self._checks_at_ns = self.time_ns + IDLE_NS

    def tenure(self) -> bool:
        self._counts = [0, 0, 0]
        return super().tenure()


def replace_child(run: ConcurrentRun) -> ConcurrentRun:
    """The same collection without a child."""
    return run._replace(child_cpu_ns=0, sweep_total_ns=0)


class _Heap:
    """The heap for the policy, in place of `gcctl._auto.process_heap.ProcessHeap`."""

    def __init__(self, service: SimulatedService) -> None:
        self._service = service

    def now(self) -> int:
        return self._service.time_ns

    def tallies(self) -> tuple[Tally, ...]:
        return self._service.core.tallies()

    def allocated(self) -> int:
        return self._service.core.allocated()

    def boundaries(self) -> int:
        return self._service.core.boundaries()

    def check_after(self, intervals: int) -> None:
        self._service.core.check_after(intervals)

    def full_collections(self) -> int:
        return self._service.completed

    def full_runs(self) -> bool:
        return self._service.full_runs

    @property
    def concurrent(self) -> bool:
        return self._service.concurrent

    @property
    def kept(self) -> bool:
        return False

    def in_flight(self) -> int:
        return self._service.core.in_flight()

    def collect(self, generation: int) -> int:
        return self._service.core.collect(generation, SCHEDULED)

    def tenure(self) -> bool:
        return self._service.tenure()

    def turn_comes(self, waited_ns: int) -> bool:
        return self._service.turn_comes(waited_ns)

    def collect_everything(self) -> int:
        return self._service.stop_the_world()

    def prepare_full(self) -> None:
        pass

    def begin_full(self) -> FullCollection:
        return self._service.begin_full()
