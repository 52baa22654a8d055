"""Both twins driven by the same operations must give the same answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_gc import FakeGC
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gcctl._core import pure
from gcctl._core.protocol import Core, Entry, Orders
from gcctl._core.records import REASONS

core_module = pytest.importorskip(
    "gcctl._core.compiled", reason="the compiled core is not installed"
)

Operation = Callable[["Twin"], object]


class Twin(FakeGC):
    """One core, its surroundings, and everything that it did to them."""

    def __init__(self, core_class: type[Core]) -> None:
        super().__init__()
        self.log: list[object] = []
        self.notify_fails = False
        self.entries: list[Entry] = []
        self.core = core_class(
            collect=self.collect, clock=self.clock, count=self.count, callbacks=self.callbacks
        )

    def prepare(self, operations: list[Operation]) -> None:
        """Let the next collection's finalizers do that."""

        def finalizer(operation: Operation) -> Callable[[], None]:
            return lambda: self.log.append(operation(self))

        self.during = [finalizer(operation) for operation in operations]

    def notify(self, kind: str, event: object) -> None:
        self.log.append((kind, event))
        if self.notify_fails:
            raise RuntimeError

    @property
    def ours(self) -> list[bool]:
        """For each entry of the list of gc callbacks, whether it is the core's."""
        return [getattr(entry, "__self__", None) is self.core for entry in self.callbacks]

    def state(self) -> object:
        core = self.core
        counters = core.snapshot(), core.tallies(), core.allocated(), core.in_flight()
        entries = [(entry.gc_pause_ns, entry.left) for entry in self.entries]
        return counters, core.events(), self.ours, self.log, self.runs, self.time_ns, entries

    # Callbacks of somebody else.

    def passive(self, phase: str, info: dict[str, int]) -> None:
        self.log.append(phase)

    def once(self, phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            self.callbacks.remove(self.once)

    def boundary(self, phase: str, info: dict[str, int]) -> None:
        self.core.tick()


def leave(twin: Twin, place: int, error: type[BaseException] | None) -> None:
    if twin.entries:
        twin.entries[place % len(twin.entries)].leave(error() if error else None)


def fail(twin: Twin, place: int, error: type[BaseException] | None) -> None:
    if twin.entries and error:
        twin.entries[place % len(twin.entries)].fail(error())


def ticks(twin: Twin, count: int) -> None:
    for _ in range(count):
        twin.core.tick()


here = threading.local()
workers: list[ThreadPoolExecutor] = []
over: list[bool] = []


def in_thread(work: Callable[[], object]) -> None:
    """Do it in another thread; always the same one, because a new thread may get the identity of
    one that has ended, or not, and the cores would then answer differently."""
    if over:  # entries of the last examples are freed in another test, and have boundaries then
        return
    depth = getattr(here, "depth", 0)
    if depth == len(workers):
        workers.append(ThreadPoolExecutor(max_workers=1))

    def deeper() -> None:
        here.depth = depth + 1
        work()

    workers[depth].submit(deeper).result()


@pytest.fixture(autouse=True)
def workers_end() -> Iterator[None]:
    over.clear()
    yield
    over.append(True)
    while workers:
        workers.pop().shutdown()


few = st.integers(0, 12)
generations = st.integers(0, 2)
errors = st.sampled_from([None, ValueError, MemoryError, KeyboardInterrupt, asyncio.CancelledError])
durations = st.integers(0, 2**40)
reasons = st.integers(0, len(REASONS) - 1)
callbacks = st.sampled_from(["passive", "once", "boundary"])

operations: st.SearchStrategy[Operation] = st.one_of(
    st.just(lambda twin: twin.core.enter() is twin.core.request()),
    errors.map(lambda error: lambda twin: twin.core.exit(error, error and error(), None)),
    st.just(lambda twin: twin.entries.append(twin.core.begin())),
    st.tuples(few, errors).map(lambda what: lambda twin: leave(twin, *what)),
    st.tuples(few, errors).map(lambda what: lambda twin: fail(twin, *what)),
    st.just(lambda twin: twin.entries.clear()),
    st.integers(1, 30).map(lambda count: lambda twin: ticks(twin, count)),
    st.tuples(generations, reasons).map(lambda what: lambda twin: twin.core.collect(*what)),
    st.tuples(generations, reasons).map(
        lambda what: lambda twin: twin.core.collect(*what, lambda: twin.collect(0))
    ),
    st.booleans().map(lambda on: lambda twin: twin.core.want_sweep_steps(on)),
    st.integers(1, 4).map(lambda intervals: lambda twin: twin.core.check_after(intervals)),
    generations.map(lambda generation: lambda twin: twin.collect(generation)),
    generations.map(lambda generation: lambda twin: in_thread(lambda: twin.collect(generation))),
    st.just(lambda twin: twin.core.busy_elsewhere()),
    st.just(lambda twin: in_thread(lambda: twin.log.append(twin.core.busy_elsewhere()))),
    st.just(lambda twin: twin.core.tell_long_pause()),
    st.just(lambda twin: (twin.core.attached(), twin.core.collecting())),
    st.just(lambda twin: (twin.core.due(), twin.core.paused_ns())),
    st.just(lambda twin: twin.core.stop()),
    st.just(lambda twin: twin.core.hold()),
    st.just(lambda twin: twin.core.release()),
    st.just(lambda twin: twin.core.after_fork()),
    callbacks.map(lambda name: lambda twin: twin.callbacks.append(getattr(twin, name))),
    callbacks.map(lambda name: lambda twin: twin.callbacks.insert(0, getattr(twin, name))),
    st.just(lambda twin: twin.callbacks.clear()),
    st.builds(
        Orders,
        every=st.tuples(few, few, few),
        report_every=few,
        emergency_interval_ns=st.integers(-1, 2**20),
        emergency_generation=generations,
        recycle_after=few,
        young_after=few,
        check_interval_ns=st.integers(-1, 2**40),
        max_pause_ns=durations,
        concurrent=st.booleans(),
        external=st.booleans(),
        tell_external=st.booleans(),
    ).map(lambda orders: lambda twin: twin.core.start(orders, twin.notify)),
)


class TwinsAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.twins = [Twin(core_module.Core), Twin(pure.Core)]

    def same(self, operation: Operation) -> None:
        answers = [operation(twin) for twin in self.twins]
        assert answers[0] == answers[1]
        assert self.twins[0].state() == self.twins[1].state()

    @initialize()
    def begin(self) -> None:
        orders = Orders(
            (1, 5, 20),
            report_every=7,
            recycle_after=11,
            emergency_interval_ns=1000,
            check_interval_ns=10**9,
            max_pause_ns=2**30,
        )
        self.same(lambda twin: twin.core.start(orders, twin.notify))

    @rule(operation=operations)
    def operate(self, operation: Operation) -> None:
        self.same(operation)

    @rule(during=st.lists(operations, max_size=4), pause=durations, collected=st.integers(0, 10**9))
    def prepare(self, during: list[Operation], pause: int, collected: int) -> None:
        for twin in self.twins:
            twin.prepare(during)
            twin.pause_ns, twin.collected = pause, collected

    @invariant()
    def at_most_one_entry_is_ours(self) -> None:
        assert sum(self.twins[0].ours) <= 1

    @rule(step=durations)
    def time_passes(self, step: int) -> None:
        for twin in self.twins:
            twin.time_ns += step

    @rule(objects=few)
    def objects_are_made(self, objects: int) -> None:
        for twin in self.twins:
            twin.allocated += objects

    @precondition(lambda self: not self.twins[0].notify_fails)
    @rule()
    def notification_breaks(self) -> None:
        for twin in self.twins:
            twin.notify_fails = True


TestTwinsAgree = TwinsAgree.TestCase
TestTwinsAgree.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
