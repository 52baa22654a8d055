"""A service on a simulated heap and clock, thousands of times faster than life.

The core is a real one, so is the policy; the collector, the clock and the memory are made up. An
object is a number: objects come in cohorts that are made, promoted and die together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from fake_gc import FakeGC

from gcctl._protocol import REASONS, Core, Orders, Tally
from gcctl.auto import YOUNG_AFTER, Auto
from gcctl.concurrent_run import ConcurrentRun

NS = 10**9
MS = 10**6
MIB = 2**20
PLACES = YOUNG, MIDDLE, RECENT, TENURED = range(4)
SCHEDULED, CONCURRENT = REASONS.index("scheduled"), REASONS.index("concurrent")

OBJECT_BYTES = 150
BASE_BYTES = 40 * MIB
VISIT_NS = 50
"""What a collection takes per object."""
FREE_NS = 200
"""What it takes per object that it frees."""
AGED_NS = 500
"""What a full collection takes per object of an aged heap, when it stops the world."""
CHILD_NS = 150
"""The CPU time of the child of a concurrent one, per object."""
FORK_NS_PER_MIB = 20_000
DEPUTY_NS = 100 * MS
"""Between two looks of the thread that acts while no request ends."""


@dataclass(frozen=True)
class Request:
    """What each request of a phase does."""

    every_ns: int = 40 * MS
    """From one request to the next."""
    cyclic: int = 100
    """Objects that are garbage, in cycles, when it ends."""
    kept: int = 0
    """Objects that live on."""
    lives: int = 0
    """For how many requests they do; 0: for ever."""
    die_cyclic: float = 0.0
    """The part of them that is garbage in cycles then; the rest is freed by reference count."""


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
    """A concurrent one, or (`ends_ns` 0) one that has stopped the world."""

    ends_ns: int
    garbage: list[int]
    measured: ConcurrentRun
    outcome: str | None = None


@dataclass
class Measured:
    """What a simulation has come to."""

    requests: int = 0
    most_garbage_bytes: int = 0
    live_bytes: int = 0
    rss: int = 0
    fulls: int = 0
    pauses_ns: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Of each generation; 3: starts of concurrent collections and slices of their sweeps."""
    longest_ns: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    child_ns: int = 0
    middle_since_ns: int = 0
    """The longest time for which something waited in generation 1."""


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
        deputy: bool = False,
    ) -> None:
        """`busy`: another request is in flight all the time. `deputy`: there is one, which looks
        while no request ends."""
        super().__init__()
        self.measured = Measured()
        self.live = [0, 0, live, 0]
        self.garbage = [0, 0, 0, 0]
        self.rss = 0
        self.concurrent = concurrent
        self.turn_comes: Callable[[int], bool] = lambda waited_ns: True
        """Of this process, for a full collection."""
        self.swept_back = 0
        """Tenured objects that a sweep leaves in generation 1, for they live after all."""
        self.child_runs = True
        """Whether the children of concurrent ones get a processor."""
        self.prevented = False
        """Whether other collections prevent full ones."""
        self.completed = 0
        """Full collections."""
        self.voids = False
        """Whether full collections come to nothing."""
        self._deputy = deputy
        self._stands_by = False
        self._tenures = tenures
        self._cohorts: list[list[Cohort]] = [[], [], [], []]
        self._deaths: dict[int, list[Cohort]] = defaultdict(list)
        self._full: FullCollection | None = None
        self._middle_empty_ns = 0
        self._served = 0
        self._grow()
        self.core = core_class(
            collect=self.collect_and_promote,
            clock=self.clock,
            count=self.count,
            callbacks=self.callbacks,
        )
        orders = Orders(young_after=YOUNG_AFTER, look_interval_ns=100 * MS)
        self.core.start(orders, self._notify)
        self.auto = Auto(_Heap(self), max_pause_ns, budget, (2_000, 10, 10), self.rss)
        self.auto.begin(self.rss)
        if busy:
            self.core.request().__enter__()

    def serve(self, *phases: Phase) -> Measured:
        """Serve them, and return what this serving has come to."""
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
        # What is freed is used again, and not given back to the system.
        self.rss = max(self.rss, self.bytes_used)

    def _request(self, request: Request) -> None:
        measured = self.measured
        measured.requests += 1
        self._served += 1
        self.wait(request.every_ns)
        with self.core.request():
            self.allocated += request.cyclic + request.kept
            self.garbage[YOUNG] += request.cyclic
            if request.kept:
                cohort = Cohort(request.kept, request.die_cyclic)
                self.live[YOUNG] += request.kept
                self._cohorts[YOUNG].append(cohort)
                if request.lives:
                    self._deaths[self._served + request.lives].append(cohort)
            for cohort in self._deaths.pop(self._served, ()):
                self._die(cohort)
            self._grow()
        self._end_full()
        garbage = sum(self.garbage) * OBJECT_BYTES
        measured.most_garbage_bytes = max(measured.most_garbage_bytes, garbage)
        self._note_middle()
        waited = self.time_ns - self._middle_empty_ns
        measured.middle_since_ns = max(measured.middle_since_ns, waited)

    def wait(self, ns: int) -> None:
        """For the next request, or for none."""
        ends_ns = self.time_ns + ns
        while self._stands_by and self.time_ns + DEPUTY_NS < ends_ns:
            self.time_ns += DEPUTY_NS
            self._end_full()
            self._stands_by = self.auto.look(self.rss, boundary=False)
            self._note_middle()
        self.time_ns = max(self.time_ns, ends_ns)

    def _note_middle(self) -> None:
        if not self.live[MIDDLE] + self.garbage[MIDDLE]:
            self._middle_empty_ns = self.time_ns

    def _die(self, cohort: Cohort) -> None:
        cyclic = int(cohort.objects * cohort.die_cyclic)
        self.live[cohort.place] -= cohort.objects
        self.garbage[cohort.place] += cyclic
        self.allocated = max(self.allocated - (cohort.objects - cyclic), 0)
        cohort.objects = 0

    def _notify(self, kind: str, event: object) -> None:
        if kind == "look":
            self.auto.look(self.rss)
            self._stands_by = self._deputy

    def collect_and_promote(self, generation: int) -> int:
        places = range(generation + 1)
        visited = sum(self.live[place] + self.garbage[place] for place in places)
        self.collected = sum(self.garbage[place] for place in places)
        self.pause_ns = 1000 + visited * VISIT_NS + self.collected * FREE_NS
        self._note_pause(generation, self.pause_ns)
        self.collect(generation)
        self._promote(generation, min(generation + 1, RECENT))
        return self.collected

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

    # What the policy acts on, beyond the core.

    def tenure(self) -> bool:
        if self._tenures:
            self.core.collect(YOUNG, SCHEDULED)
            self._promote(RECENT, TENURED, garbage_too=True)
            self.allocated = 0
        return self._tenures

    def begin_full(self) -> FullCollection:
        if self.prevented:
            return FullCollection(0, [], ConcurrentRun(), "void: simulated")
        self.measured.fulls += 1
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
        """What was garbage when it began is freed, as soon as the child has answered."""
        full = self._full
        if full is None or self.time_ns < full.ends_ns or not self.child_runs:
            return
        self._full = None
        if self.voids:
            full.outcome = "void: simulated"
            return
        # Promoted since, or collected: the sum tells.
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


def replace_child(run: ConcurrentRun) -> ConcurrentRun:
    """The same without a child."""
    return run._replace(child_cpu_ns=0, sweep_total_ns=0)


class _Heap:
    """As `gcctl.heap.ProcessHeap`."""

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

    def look_after(self, intervals: int) -> None:
        self._service.core.look_after(intervals)

    def fulls(self) -> int:
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

    def stop(self) -> int:
        return self._service.stop_the_world()

    def prepare_full(self) -> None:
        pass

    def begin_full(self) -> FullCollection:
        return self._service.begin_full()
