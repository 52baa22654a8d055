"""Concurrent full collections against gc.collect(), on random graphs that change meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import graphs
import payload
import pytest
import windows
from graphs import CHEAP, KINDS, Plan, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinds_suspended import StillLoop
from windows import answer, collected, stopped_child

import gcctl
from gcctl._concurrent.feasibility import Feasibility

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # garbage is not closed
    pytest.mark.filterwarnings("ignore:.*never awaited:RuntimeWarning"),
]

# An example makes several children, each for as long as it takes to go through pytest's heap.
FEW = pytest.mark.parametrize("examples", [5, pytest.param(30, marks=pytest.mark.slow)])

NUMBERS = st.integers(0, 99)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30)
PLANS = st.builds(
    Plan,
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=20),
    links=PAIRS,
    attached=PAIRS,
    roots=st.sets(NUMBERS, max_size=4),
    borrowed=st.sets(NUMBERS, max_size=4),
)


@pytest.fixture(autouse=True)
def nothing_disturbs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No automatic collection in a window; and no violation found by any finalizer."""
    if windows.fallback():
        pytest.skip(str(windows.fallback()))
    monkeypatch.setattr(Feasibility, "why_not", lambda *expected: "")
    enabled = gc.isenabled()
    gc.disable()
    yield
    payload.RISEN.clear()
    if enabled:
        gc.enable()
    assert payload.PROBLEMS == []
    assert not payload.ran_in_a_child()


class Mutator:
    """Changes a world while a collection of it runs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names = sorted(CHEAP)
        self.leave = threading.Event()
        self.threads: list[threading.Thread] = []

    def make(self, kind: int, times: int) -> None:
        """At the addresses of what was freed before, if it is of that kind."""
        for _ in range(times % 5):
            self.world.roots.append(graphs.make(self.names[kind % len(self.names)]))

    def same_kind(self, number: int, times: int) -> None:
        """Something new that may take the place of what a weak reference leads to."""
        roots = self.world.roots
        node = self.world.resurrect(number)
        if node:
            kind = payload.ALIVE[node.serial]
            self.world.free(number)
            roots.remove(node)
            del node
            roots += [graphs.make(kind) for _ in range(times % 5)]

    def hold_in_a_thread(self, number: int, _: int) -> None:
        """A root of the world becomes a local variable of another thread."""
        if self.world.roots:
            held = threading.Event()
            node = self.world.roots.pop(number % len(self.world.roots))

            def hold(node: payload.Node) -> None:
                held.set()
                self.leave.wait()
                graphs.verify([node])

            thread = threading.Thread(target=hold, args=(node,))
            del node
            self.threads.append(thread)
            thread.start()
            held.wait()

    def young(self, generation: int, _: int) -> None:
        gc.collect(generation % 2)

    def act(self, name: str, first: int, second: int) -> None:
        ACTIONS[name](self, first, second)

    def close(self) -> None:
        self.leave.set()
        for thread in self.threads:
            thread.join()


ACTIONS: dict[str, Callable[[Mutator, int, int], object]] = {
    "attach": lambda m, i, j: m.world.attach(i, j),
    "drop": lambda m, i, j: m.world.drop(i),
    "free": lambda m, i, j: m.world.free(i),
    "hold in a thread": Mutator.hold_in_a_thread,
    "link": lambda m, i, j: m.world.link(i, j),
    "make": Mutator.make,
    "resurrect": lambda m, i, j: m.world.resurrect(i),
    "same kind": Mutator.same_kind,
    "unlink": lambda m, i, j: m.world.unlink(i),
    "use": lambda m, i, j: m.world.verify(i),
    "young": Mutator.young,
}
MANY_ACTIONS = st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), NUMBERS, NUMBERS), max_size=15)


def check_risen() -> None:
    """What finalizers brought back is whole, too; then it goes."""
    for thing in payload.RISEN:
        (thing if isinstance(thing, payload.Payload) else thing.payload).check()
    payload.RISEN.clear()


def check_that_nothing_is_left_for(oracle: Callable[[], object]) -> None:
    before = dict(payload.ALIVE)
    oracle()
    assert [kind for serial, kind in before.items() if serial not in payload.ALIVE] == []


def of_examples(
    count: int, check: Callable[..., None], *strategies: st.SearchStrategy[Any]
) -> None:
    few = settings(max_examples=count, suppress_health_check=list(HealthCheck))
    few(given(*strategies)(check))()


@FEW
def test_one_collection_finds_what_gc_collect_finds(examples: int) -> None:
    of_examples(examples, one_collection_finds_what_gc_collect_finds, PLANS)


def one_collection_finds_what_gc_collect_finds(plan: Plan) -> None:
    world = World()
    world.grow(plan)
    live = world.verify()
    collected()
    check_risen()  # with all that it leads to: the next one finds that
    assert world.verify() == live
    if not any(name in plan.kinds for name in COME_BACK):
        check_that_nothing_is_left_for(gc.collect)
    collected()
    check_risen()
    check_that_nothing_is_left_for(gc.collect)
    world.roots.clear()
    gc.collect()
    check_risen()
    gc.collect()


COME_BACK = {
    "finalizer that allocates",
    "finalizer that breaks the cycle",
    "finalizer that resurrects",
    "generator that resurrects",
}


@FEW
def test_a_mutator_in_the_window_loses_nothing_live(examples: int) -> None:
    of_examples(examples, mutator_in_the_window, PLANS, MANY_ACTIONS, MANY_ACTIONS)


def mutator_in_the_window(
    plan: Plan, before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    """Some of it while the child searches, and some when it has answered."""
    world = World()
    world.grow(plan)
    mutator = Mutator(world)
    try:
        handle = gcctl.collect_concurrently()
        for action in before:
            mutator.act(*action)
        answer(handle)
        for action in after:
            mutator.act(*action)
        live = world.verify()
        answer(handle).finish()
        assert handle.outcome == "collected"
        assert world.verify() == live
    finally:
        mutator.close()
    check_risen()
    for _ in range(2):  # nothing changes in their windows
        collected()
        check_risen()
    assert world.verify() == live
    check_that_nothing_is_left_for(gc.collect)
    world.roots.clear()
    gc.collect()
    check_risen()
    gc.collect()


@pytest.mark.parametrize("examples", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_mutator_between_the_slices_loses_nothing_live(examples: int) -> None:
    plans = st.lists(PLANS, min_size=2, max_size=8)
    of_examples(examples, mutator_between_the_slices, plans, MANY_ACTIONS)


def mutator_between_the_slices(plans: list[Plan], actions: list[tuple[str, int, int]]) -> None:
    gcctl.install("off")
    gc.disable()
    world = World()
    ballast = [garbage(3) for _ in range(3000)]
    for plan in plans:
        world.grow(plan)
    gc.collect(1)
    mutator = Mutator(world)
    del ballast
    try:
        handle = gcctl.collect_concurrently()
        while handle.outcome is None:
            live = world.verify()
            windows.hurry()
            gcctl.tick()
            assert world.verify() == live
            if handle.ready and actions:
                mutator.act(*actions.pop())
        assert handle.outcome == "collected"
    finally:
        mutator.close()
        gcctl.uninstall()
    check_risen()
    for _ in range(2):
        collected()
        check_risen()
    check_that_nothing_is_left_for(gc.collect)
    world.roots.clear()
    gc.collect()
    check_risen()
    gc.collect()


def garbage(size: int) -> list[Any]:
    """A cycle."""
    ring: list[Any] = [None]
    for _ in range(size):
        ring = [ring]
    last = ring
    while last[0] is not None:
        last = last[0]
    last[0] = ring
    return ring


@pytest.mark.parametrize("name", sorted(KINDS))
def test_gc_collect_itself_finds_every_kind(name: str) -> None:
    """Else these graphs would say nothing about gcctl."""
    node = graphs.make(name)
    graphs.link(node, node)
    graphs.attach(node, node)
    serial = node.serial
    del node
    gc.collect(1)  # finds nearly all
    for _ in range(2):
        if serial in payload.ALIVE:
            payload.RISEN.clear()
            gc.collect()
    assert serial not in payload.ALIVE


def old_garbage(count: int) -> list[weakref.ref[Node]]:
    """Only a full collection finds it."""
    nodes = [Node() for _ in range(count)]
    gc.collect(1)
    return [weakref.ref(node) for node in nodes]


class Node:
    """Small enough to be made by the thousand, and known by weak references."""

    def __init__(self) -> None:
        self.me = self


class Noted:
    def __init__(self, log: Path) -> None:
        self.me = self
        self.log = log

    def __del__(self) -> None:
        with open(self.log, "a") as stream:
            print(os.getpid(), file=stream)


def test_finalizers_run_once_and_not_in_the_child(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    noted = [Noted(log) for _ in range(100)]
    gc.collect(1)
    del noted
    handle = answer(gcctl.collect_concurrently())
    assert log.read_text() == "", "before the sweep nothing is finalized"
    answer(handle).finish()
    assert log.read_text() == f"{os.getpid()}\n" * 100


class Numbered:
    def __init__(self, number: int, order: list[int]) -> None:
        self.me = self
        self.number = number
        self.order = order

    def __del__(self) -> None:
        self.order.append(self.number)


def test_finalizers_run_in_the_order_in_which_gc_collect_runs_them() -> None:
    """The oldest first, wherever it lies in memory."""
    order: list[int] = []
    filler = [[Numbered(0, []) for _ in range(10)] for _ in range(100)]
    random.Random(1).shuffle(filler)
    numbered = []
    for number in range(1000):  # where something of the filler was
        if number % 10 == 0:
            for old in filler.pop():
                del old.me
        numbered.append(Numbered(number, order))
    addresses = [id(one) for one in numbered]
    assert addresses != sorted(addresses), "else this tests nothing"
    gc.collect(1)
    del numbered
    collected()
    assert order == list(range(1000))


def test_what_is_inside_an_asynchronous_context_ends_quietly() -> None:
    """Where its generator is closed first, contextlib complains."""
    failures: list[Any] = []

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        yield

    async def inside(box: list[Any]) -> None:
        async with manager():
            await asyncio.Future(loop=loop)

    def cycle() -> list[Any]:
        box: list[Any] = []
        box.append(inside(box))
        box[0].send(None)
        return box

    loop: Any = StillLoop()
    before, sys.unraisablehook = sys.unraisablehook, failures.append
    try:
        boxes = [cycle() for _ in range(100)]
        gc.collect(1)
        boxes.clear()
        collected()
        assert failures == []
    finally:
        failures.clear()
        sys.unraisablehook = before


def test_what_a_weak_reference_brings_back_lives_on() -> None:
    nodes = [Node() for _ in range(100)]
    weak = [weakref.ref(node) for node in nodes]
    gc.collect(1)
    nodes.clear()
    handle = answer(gcctl.collect_concurrently())
    back = [ref() for ref in weak[::2]]
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert all(node is not None and node.me is node for node in back)
    assert [ref() is not None for ref in weak] == [True, False] * 50


def test_what_was_freed_and_allocated_again_in_the_window_lives_on() -> None:
    """New objects at the addresses of candidates."""
    nodes = [Node() for _ in range(1000)]
    weak = [weakref.ref(node) for node in nodes]
    addresses = {id(node) for node in nodes}
    gc.collect(1)
    nodes.clear()
    handle = answer(gcctl.collect_concurrently())
    for ref in weak:
        node = ref()
        if node is not None:
            del node.me
        del node
    again = [Node() for _ in range(1000)]
    assert addresses & {id(node) for node in again}, "else this tests nothing"
    others = [[number] for number in range(10_000)]
    answer(handle).finish()
    assert all(node.me is node for node in again)
    assert others == [[number] for number in range(10_000)]
    assert gc.collect() < 1000


def test_sockets_and_files_closed_in_the_window_are_closed(tmp_path: Path) -> None:
    ballast = windows.bulk(300_000)
    near, far = socket.socketpair()
    reader, writer = os.pipe()
    far.settimeout(10)
    with stopped_child(gcctl.collect_concurrently) as (handle, _):
        near.close()
        assert far.recv(1) == b"", "the peer sees the end while the child is there"
        os.close(writer)
        assert os.read(reader, 1) == b""
        assert not handle.ready
    answer(handle).finish()
    assert handle.outcome == "collected"
    os.close(reader)
    far.close()
    assert len(ballast) == 300_000


def test_everything_may_go_on_while_the_child_is_stopped() -> None:
    ballast = windows.bulk(300_000)
    dead = old_garbage(100)
    with stopped_child(gcctl.collect_concurrently) as (handle, child):
        made = [Node() for _ in range(1000)]
        done = threading.Thread(target=made.pop)
        done.start()
        done.join()
        assert gcctl.collect_concurrently() is handle
        assert windows.runs(handle)
        assert windows.state_of(child) == "T"
        os.kill(child, signal.SIGCONT)
        answer(handle).finish()
    assert handle.outcome == "collected"
    assert all(ref() is None for ref in dead)
    assert len(made) == 999
    assert len(ballast) == 300_000


def test_large_garbage_is_freed_in_slices_at_boundaries() -> None:
    live = windows.bulk(10_000)
    nodes = [garbage(5) for _ in range(30_000)]
    weak = old_garbage(1000)
    gcctl.install("off")
    gc.disable()
    nodes.clear()
    handle = gcctl.collect_concurrently()
    answer(handle)
    while handle.outcome is None:
        gcctl.tick()
    gcctl.uninstall()
    assert handle.outcome == "collected"
    assert handle.measured.slices > 1
    assert handle.measured.objects_collected >= 30_000 * 6
    assert all(ref() is None for ref in weak)
    assert live == [[None]] * 10_000


def test_a_giant_component_is_found_in_one_piece() -> None:
    giant = garbage(100_000)
    (weak,) = old_garbage(1)
    del giant
    handle = collected()
    assert handle.measured.largest_component > 100_000
    assert handle.measured.objects_collected > 100_000
    assert weak() is None
    assert gc.collect() < 100_000


def test_frozen_garbage_is_found() -> None:
    weak = old_garbage(100)
    gc.freeze()
    try:
        assert gc.collect() < 100
        assert all(ref() is not None for ref in weak)
        collected()
        assert all(ref() is None for ref in weak)
    finally:
        gc.unfreeze()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no immortal objects")
def test_immortal_objects_are_left_alone() -> None:
    kept = [None, True, ..., (), "", 7]
    collected()
    assert kept == [None, True, ..., (), "", 7]
