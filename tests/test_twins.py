"""Both twins driven by the same operations must give the same answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gcctl import _pycore
from gcctl._protocol import Core, Orders

core_module = pytest.importorskip("gcctl._core", reason="the compiled core is not installed")

Operation = Callable[["Twin"], object]


class Twin:
    """One core, its surroundings, and everything that it did to them."""

    def __init__(self, core_class: type[Core]) -> None:
        self.time_ns = 0
        self.pause_ns = 0
        self.collected = 0
        self.during: list[Operation] = []  # what finalizers do in the next collection
        self.log: list[object] = []
        self.callbacks: list[Any] = []
        self.notify_fails = False
        self.core = core_class(
            collect=self.collect, clock=lambda: self.time_ns, callbacks=self.callbacks
        )

    def collect(self, generation: int) -> int:
        self.log.append(("collect", generation, len(self.callbacks)))
        self.time_ns += self.pause_ns
        during, self.during = self.during, []
        for operation in during:
            self.log.append(operation(self))
        return self.collected

    def notify(self, kind: str, event: object) -> None:
        self.log.append((kind, event))
        if self.notify_fails:
            raise RuntimeError

    def state(self) -> object:
        core = self.core
        entries = [callback == "foreign" for callback in self.callbacks]
        return core.snapshot(), core.events(), core.busy_elsewhere(), entries, self.log

    def gc_callback(self, phase: str, info: dict[str, int]) -> None:
        for callback in list(self.callbacks):
            if callback != "foreign":
                callback(phase, info)


def ticks(twin: Twin, count: int) -> None:
    for _ in range(count):
        twin.core.tick()


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


few = st.integers(0, 12)
generations = st.integers(0, 2)
errors = st.sampled_from([None, ValueError, MemoryError, KeyboardInterrupt, asyncio.CancelledError])
durations = st.integers(0, 2**40)
infos = st.fixed_dictionaries({"generation": generations, "collected": st.integers(0, 10**9)})

operations: st.SearchStrategy[Operation] = st.one_of(
    st.just(lambda twin: twin.core.enter() is twin.core.request()),
    errors.map(lambda error: lambda twin: twin.core.exit(error, error and error(), None)),
    st.integers(1, 30).map(lambda count: lambda twin: ticks(twin, count)),
    st.tuples(generations, st.integers(0, 3)).map(
        lambda what: lambda twin: twin.core.collect(*what)
    ),
    st.just(lambda twin: twin.core.stop()),
    st.just(lambda twin: twin.core.after_fork()),
    infos.map(lambda info: lambda twin: twin.gc_callback("start", info)),
    infos.map(lambda info: lambda twin: twin.gc_callback("stop", info)),
    infos.map(lambda info: lambda twin: in_thread(lambda: twin.gc_callback("start", info))),
    st.just(lambda twin: twin.callbacks.append("foreign")),
    st.just(lambda twin: twin.callbacks.clear()),
    st.builds(
        Orders,
        every=st.tuples(few, few, few),
        report_every=few,
        emergency_interval_ns=st.integers(-1, 2**20),
        max_pause_ns=durations,
        external=st.booleans(),
    ).map(lambda orders: lambda twin: twin.core.start(orders, twin.notify)),
)


class TwinsAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.twins = [Twin(core_module.Core), Twin(_pycore.Core)]

    def same(self, operation: Operation) -> None:
        answers = [operation(twin) for twin in self.twins]
        assert answers[0] == answers[1]
        assert self.twins[0].state() == self.twins[1].state()

    @initialize()
    def begin(self) -> None:
        orders = Orders((1, 5, 20), report_every=7, emergency_interval_ns=1000, max_pause_ns=2**30)
        self.same(lambda twin: twin.core.start(orders, twin.notify))

    @rule(operation=operations)
    def operate(self, operation: Operation) -> None:
        self.same(operation)

    @rule(during=st.lists(operations, max_size=4), pause=durations, collected=st.integers(0, 10**9))
    def prepare(self, during: list[Operation], pause: int, collected: int) -> None:
        for twin in self.twins:
            twin.during, twin.pause_ns, twin.collected = list(during), pause, collected

    @rule(step=durations)
    def time_passes(self, step: int) -> None:
        for twin in self.twins:
            twin.time_ns += step

    @precondition(lambda self: not self.twins[0].notify_fails)
    @rule()
    def notification_breaks(self) -> None:
        for twin in self.twins:
            twin.notify_fails = True


TestTwinsAgree = TwinsAgree.TestCase
TestTwinsAgree.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
