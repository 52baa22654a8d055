"""batch() and batched_gc(): automatic GC held off, one collection at the end, memory watched."""

from __future__ import annotations

import _thread
import gc
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from processes import in_child, run_program, wait_until

import gcctl
from gcctl.settings import Settings

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
# From 3.12 a fork with threads about is warned of.
forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Node:
    """Something that only the garbage collector can free."""

    def __init__(self) -> None:
        self.me = self


def requested() -> int:
    return gcctl.stats().collections_by_reason.requested


@contextmanager
def collections() -> Iterator[list[int]]:
    """The generations of the collections that run meanwhile, whoever causes them."""
    seen: list[int] = []

    def callback(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            seen.append(info["generation"])

    gc.callbacks.append(callback)
    try:
        yield seen
    finally:
        gc.callbacks.remove(callback)


@pytest.fixture(params=[True, False], ids=["gc on", "gc off"])
def found(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether automatic GC was on before."""
    enabled: bool = request.param
    gc.collect(0)  # so that none is due by itself at once
    (gc.enable if enabled else gc.disable)()
    yield enabled
    gcctl.uninstall()
    assert gc.isenabled() is enabled
    gc.enable()


@pytest.fixture
def short_collections() -> Iterator[None]:
    """They need not go through all that pytest has made."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=[False, True], ids=["alone", "installed"])
def installed(request: pytest.FixtureRequest) -> bool:
    if request.param:
        gcctl.install("off")
    return bool(request.param)


class TestBatch:
    def test_automatic_gc_is_off_within_and_as_before_after_it(
        self, found: bool, installed: bool
    ) -> None:
        for _ in range(2):
            with gcctl.batch():
                assert not gc.isenabled()
            assert gc.isenabled() is found

    def test_one_full_collection_ends_it(self, found: bool, installed: bool) -> None:
        with gcctl.batch():
            node = weakref.ref(Node())
            with collections() as seen:
                kept: list[object] = [[] for _ in range(10_000)]
            assert seen == []
            assert node() is not None
        assert node() is None
        assert requested() == installed
        del kept

    def test_the_context_is_the_batch(self) -> None:
        batch = gcctl.batch()
        with batch as entered:
            assert entered is batch

    def test_nested_ones_are_part_of_the_outermost(self, found: bool) -> None:
        with collections() as seen, gcctl.batch():
            with gcctl.batch(), gcctl.batch():
                pass
            assert seen == []
            assert not gc.isenabled()
        assert seen == [2]

    def test_one_object_can_be_entered_while_entered_and_again_later(self, found: bool) -> None:
        batch = gcctl.batch()
        for _ in range(2):
            with collections() as seen, batch:
                with batch:
                    with batch:
                        pass
                    assert not gc.isenabled()
                assert not gc.isenabled()
                assert seen == []
            assert seen == [2]
            assert gc.isenabled() is found

    def test_overlapping_ones_end_with_the_last(self, found: bool) -> None:
        first, second = gcctl.batch(), gcctl.batch()
        with collections() as seen:
            first.__enter__()
            second.__enter__()
            first.__exit__(None, None, None)
            assert not gc.isenabled()
            assert seen == []
            second.__exit__(None, None, None)
        assert gc.isenabled() is found
        assert seen == [2]

    def test_those_of_other_threads_end_with_the_last(self, found: bool) -> None:
        entered, leave = threading.Event(), threading.Event()

        def work() -> None:
            with gcctl.batch():
                entered.set()
                leave.wait()

        thread = threading.Thread(target=work)
        with collections() as seen:
            with gcctl.batch():
                thread.start()
                entered.wait()
            assert not gc.isenabled()
            assert seen == []
            leave.set()
            thread.join()
        assert gc.isenabled() is found
        assert seen == [2]

    @pytest.mark.usefixtures("short_collections")
    def test_one_object_in_many_threads(self, found: bool) -> None:
        batch = gcctl.batch()
        on: list[bool] = []

        def work() -> None:
            for _ in range(1000):
                with batch:
                    if gc.isenabled():
                        on.append(True)

        in_threads(work)
        assert on == []
        assert gc.isenabled() is found

    @pytest.mark.usefixtures("short_collections")
    def test_a_storm_of_batches_leaves_it_as_found(self, found: bool) -> None:
        """Also the threads that come in while another one is about to switch it on again."""
        on: list[bool] = []

        def work() -> None:
            for _ in range(1000):
                with gcctl.batch():
                    if gc.isenabled():
                        on.append(True)

        in_threads(work)
        assert on == []
        assert gc.isenabled() is found

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_a_failure_ends_it_and_goes_on_unchanged(
        self, error: type[BaseException], found: bool
    ) -> None:
        mine = error("mine")
        with collections() as seen:
            with pytest.raises(error) as caught, gcctl.batch():
                raise mine
            assert caught.value is mine
            assert caught.value.__context__ is None
        assert gc.isenabled() is found
        assert seen == [2]

    def test_it_ends_with_a_generator_that_is_closed(self, found: bool) -> None:
        def work() -> Iterator[bool]:
            with gcctl.batch():
                yield gc.isenabled()

        generator = work()
        assert next(generator) is False
        with collections() as seen:
            generator.close()  # type: ignore[attr-defined]
        assert gc.isenabled() is found
        assert seen == [2]

    def test_it_can_be_left_in_another_thread(self, found: bool) -> None:
        stack = ExitStack()
        stack.enter_context(gcctl.batch())
        assert not gc.isenabled()
        in_threads(stack.close, 1)
        assert gc.isenabled() is found

    def test_leaving_what_was_not_entered_does_nothing(self, found: bool, installed: bool) -> None:
        batch = gcctl.batch()
        batch.__exit__(None, None, None)
        with batch:
            with gcctl.batch() as other:
                pass
            other.__exit__(None, None, None)
            assert not gc.isenabled()
        batch.__exit__(None, None, None)
        assert gc.isenabled() is found
        assert requested() == installed

    def test_one_that_is_dropped_ends_without_a_collection(self, found: bool) -> None:
        batch = gcctl.batch()
        batch.__enter__()
        with collections() as seen:
            with batch:
                del batch  # the block still has it
                assert not gc.isenabled()
            assert gc.isenabled() is found, "it is left for good when nobody can leave it"
        assert seen == []

    def test_one_in_garbage_ends_with_the_garbage(self, found: bool) -> None:
        node: Any = Node()
        node.batch = gcctl.batch()
        node.batch.__enter__()
        assert not gc.isenabled()
        del node
        assert not gc.isenabled()
        gc.collect()
        assert gc.isenabled() is found

    def test_a_dropped_one_does_not_end_others(self, found: bool) -> None:
        with gcctl.batch():
            gcctl.batch().__enter__()
            assert not gc.isenabled()
        assert gc.isenabled() is found

    def test_a_batch_in_a_finalizer_of_the_last_collection(self, found: bool) -> None:
        class Awkward:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                with gcctl.batch():
                    inside.append(gc.isenabled())
                inside.append(gc.isenabled())

        inside: list[bool] = []
        with gcctl.batch():
            Awkward()
        assert inside == [False, False]
        assert gc.isenabled() is found

    def test_nothing_while_disabled_by_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, found: bool
    ) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        with collections() as seen:
            with gcctl.batch():
                assert gc.isenabled() is found
            if not found:
                for _ in gcctl.batched_gc(range(3), every=1):
                    pass
                assert seen == []
            else:
                for _ in gcctl.batched_gc(range(3), every=1):
                    assert gc.isenabled()

    def test_disabled_in_the_middle_it_still_ends(
        self, monkeypatch: pytest.MonkeyPatch, found: bool
    ) -> None:
        batch = gcctl.batch()
        with batch:
            with monkeypatch.context() as patch:
                patch.setenv("GCCTL_DISABLE", "1")
                with batch:
                    assert not gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled() is found

    def test_as_statistics_of_a_controller(self) -> None:
        controller = gcctl.install("off")
        with gcctl.batch():
            Node()
        (event,) = (event for event in controller.events() if event.reason == "requested")
        assert event.generation == 2
        assert event.collected >= 1
        assert gcctl.stats().requests == 0


def in_threads(work: Callable[[], object], count: int = 4) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


class TestOthersSwitchIt:
    def test_on_within_one_it_stays_on(self) -> None:
        gc.disable()
        with gcctl.batch():
            gc.enable()
            assert gc.isenabled()
        assert gc.isenabled()

    def test_on_within_one_it_is_held_off_by_the_next_and_on_in_the_end(self) -> None:
        gc.disable()
        with gcctl.batch():
            gc.enable()
            with gcctl.batch():
                assert not gc.isenabled()
        assert gc.isenabled()

    @needs_fork
    def test_on_within_one_it_is_on_in_the_end_also_after_a_fork(self) -> None:
        gcctl.install("off")
        gc.disable()
        with gcctl.batch():
            gc.enable()
            assert in_child(gc.isenabled) == "True"
        assert gc.isenabled()

    def test_off_within_one_it_is_as_before_in_the_end(self, found: bool) -> None:
        """It is off already: nothing tells that somebody has asked for it."""
        with gcctl.batch():
            gc.disable()
        assert gc.isenabled() is found

    def test_off_before_one_it_stays_off(self) -> None:
        with gcctl.batch():
            pass
        gc.disable()
        with gcctl.batch():
            pass
        assert not gc.isenabled()
        gc.enable()


AUTOMATIC = [None, False, True]


@pytest.mark.parametrize("automatic", AUTOMATIC)
class TestWithControllers:
    def test_a_batch_under_one(self, found: bool, automatic: bool | None) -> None:
        with gcctl.install("off", automatic_gc=automatic):
            wanted = found if automatic is None else automatic
            with gcctl.batch():
                assert not gc.isenabled()
            assert gc.isenabled() is wanted
            assert requested() == 1
        assert gc.isenabled() is found

    def test_installed_and_uninstalled_in_a_batch(
        self, found: bool, automatic: bool | None
    ) -> None:
        with collections() as seen, gcctl.batch():
            with gcctl.install("off", automatic_gc=automatic):
                assert not gc.isenabled()
            assert not gc.isenabled()
            del seen[:]
        assert gc.isenabled() is found
        assert seen == [2]

    def test_installed_in_a_batch_and_uninstalled_after_it(
        self, found: bool, automatic: bool | None
    ) -> None:
        with gcctl.batch():
            gcctl.install("off", automatic_gc=automatic)
            assert not gc.isenabled()
        assert gc.isenabled() is (found if automatic is None else automatic)
        assert requested() == 1
        gcctl.uninstall()
        assert gc.isenabled() is found

    def test_uninstalling_ends_the_batches_begun_since(
        self, found: bool, automatic: bool | None
    ) -> None:
        before = Settings.current()
        gcctl.install("off", automatic_gc=automatic)
        batch = gcctl.batch()
        with batch, batch, gcctl.batch():
            gcctl.uninstall()
            assert gc.isenabled() is found
            assert Settings.current() == before
            with gcctl.batch():  # leaving the old ones does not end a new one
                batch.__exit__(None, None, None)
                assert not gc.isenabled()
            with collections() as seen:
                batch.__exit__(None, None, None)
            assert seen == []
        assert gc.isenabled() is found

    def test_uninstalling_ends_those_only(self, found: bool, automatic: bool | None) -> None:
        older, younger = gcctl.batch(), gcctl.batch()
        older.__enter__()
        gcctl.install("off", automatic_gc=automatic)
        younger.__enter__()
        older.__exit__(None, None, None)
        assert not gc.isenabled()
        gcctl.uninstall()
        assert gc.isenabled() is found
        younger.__exit__(None, None, None)
        assert gc.isenabled() is found

    def test_one_object_entered_before_and_after(self, found: bool, automatic: bool | None) -> None:
        batch = gcctl.batch()
        with batch:
            gcctl.install("off", automatic_gc=automatic)
            with batch:
                gcctl.uninstall()
                assert not gc.isenabled(), "the one from before goes on"
            with collections() as seen:
                pass
            assert seen == []
            assert not gc.isenabled()
        assert gc.isenabled() is found

    def test_a_batch_across_two_installations(self, found: bool, automatic: bool | None) -> None:
        with gcctl.install("off", automatic_gc=automatic):
            batch = gcctl.batch()
            batch.__enter__()
        with gcctl.install("off", automatic_gc=automatic), gcctl.batch():
            batch.__exit__(None, None, None)
            assert not gc.isenabled()
            assert requested() == 0
        assert gc.isenabled() is found


class TestFailingInstall:
    def test_leaves_the_batch_that_it_was_in(
        self, monkeypatch: pytest.MonkeyPatch, found: bool
    ) -> None:
        gcctl.install("off")
        gcctl.uninstall()

        def broken(*args: object) -> None:
            raise RuntimeError("broken")

        with collections() as seen, gcctl.batch():
            with monkeypatch.context() as patch:
                patch.setattr(gc, "set_threshold", broken)
                with pytest.raises(RuntimeError, match="broken"):
                    gcctl.install("instagram")
            assert not gc.isenabled()
            with pytest.raises(gcctl.ConfigError):
                gcctl.install("instagrm")
            assert not gc.isenabled()
        assert seen == [2]
        assert gc.isenabled() is found

    def test_a_second_install_does_not_make_the_batches_older(self, found: bool) -> None:
        gcctl.install("off")
        with gcctl.batch():
            with pytest.raises(gcctl.GcctlError, match="already installed"):
                gcctl.install("off")
            gcctl.uninstall()
            assert gc.isenabled() is found


def test_a_batch_that_uninstalling_ends_is_collected_before_automatic_gc_returns(
    tmp_path: Path,
) -> None:
    """Else the first allocations after it would stop for all that the batch has built."""
    out = run_program(
        """
        import gc, gcctl
        gcctl.install("off")
        batch = gcctl.batch()
        with batch:
            kept: list[object] = [[] for _ in range(100_000)]
            seen = []
            gc.callbacks.append(lambda phase, info: seen.append((phase, gc.isenabled())))
            gcctl.uninstall()
            print(seen[0])
        """,
        tmp_path,
    )
    assert out == "('start', False)\n"


def collector_works() -> bool:
    Node()
    return gc.collect() > 0


@needs_fork
@forks_with_threads
class TestFork:
    @pytest.mark.parametrize("policy", [None, "off", "production"])
    def test_a_child_forked_in_one_is_not_in_it(self, policy: str | None, found: bool) -> None:
        if policy is not None:
            gcctl.install(policy)
        automatic = gc.isenabled()
        batch = gcctl.batch()

        def child() -> object:
            first = gc.isenabled(), collector_works()
            with collections() as seen:
                batch.__exit__(None, None, None)
            left = gc.isenabled(), seen
            with gcctl.batch():
                within = gc.isenabled()
                batch.__exit__(None, None, None)
                within |= gc.isenabled()
            return first, left, within, gc.isenabled()

        with batch, batch:
            assert in_child(child) == repr(((automatic, True), (automatic, []), False, automatic))
            assert not gc.isenabled(), "the parent's goes on"
        assert gc.isenabled() is automatic

    def test_a_child_forked_in_the_last_collection(self) -> None:
        answers: list[str] = []

        class Forking:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                if not answers:
                    answers.append(in_child(gc.isenabled))

        gcctl.install("off")
        with gcctl.batch():
            Forking()
        assert answers == ["True"]
        assert gc.isenabled()

    def test_a_batch_begun_in_the_child_is_its_own(self) -> None:
        """The child of a fork in the last collection still has to leave the parent's batch."""
        reader, writer = os.pipe()

        class Forking:
            def __init__(self) -> None:
                self.me = self
                self.batch = gcctl.batch()

            def __del__(self) -> None:
                if os.getpid() == parent:
                    pids.append(os.fork())
                    if not pids[0]:
                        kept.append(gcctl.batch())
                        kept[0].__enter__()

        parent, pids = os.getpid(), list[int]()
        kept: list[Any] = []
        with gcctl.batch():
            Forking()
        if os.getpid() != parent:
            held = not gc.isenabled()
            kept[0].__exit__(None, None, None)
            os.write(writer, repr((held, gc.isenabled())).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as stream:
            assert stream.read() == "(True, True)"
        os.waitpid(pids[0], 0)

    @pytest.mark.usefixtures("short_collections")
    @forks_with_threads
    def test_forks_in_a_storm_of_batches(self) -> None:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                with gcctl.batch():
                    pass

        def child() -> object:
            within = gc.isenabled(), collector_works()
            with gcctl.batch():
                pass
            return within, gc.isenabled()

        gcctl.install("off")
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            answers = [in_child(child) for _ in range(20)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert answers == ["((True, True), True)"] * 20
        assert gc.isenabled()

    def test_a_child_can_uninstall(self, found: bool) -> None:
        gcctl.install("production")

        def child() -> object:
            gcctl.uninstall()
            return gc.isenabled()

        with gcctl.batch():
            assert in_child(child) == repr(found)
            assert not gc.isenabled()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_a_batch(method: str, tmp_path: Path) -> None:
    out = run_program(
        f"""
        import gc, multiprocessing as mp, sys, gcctl

        def work(number):
            with gcctl.batch():
                within = gc.isenabled()
            return number, within, gc.isenabled()

        if __name__ == "__main__":
            if {method!r} not in mp.get_all_start_methods():
                sys.exit(print([(1, False, True), (2, False, True)], False, True))
            gcctl.install("off")
            with gcctl.batch():
                with mp.get_context({method!r}).Pool(2) as pool:
                    answers = pool.map(work, [1, 2])
                within = gc.isenabled()
            print(answers, within, gc.isenabled())
        """,
        tmp_path,
    )
    assert out == "[(1, False, True), (2, False, True)] False True\n"


LITTLE = 2**20  # no Python process is that small


class TestMemory:
    def test_is_watched_without_boundaries(self) -> None:
        before = _thread._count()
        gcctl.install("off", memory_limit=LITTLE, check_interval=0.001)
        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
            assert gcctl.stats().high_memory
        wait_until(lambda: _thread._count() == before)

    def test_is_watched_in_a_batch_begun_before_install(self) -> None:
        before = _thread._count()
        with gcctl.batch():
            with gcctl.install("off", memory_limit=LITTLE, check_interval=0.001):
                wait_until(lambda: gcctl.stats().high_memory_events == 1)
            wait_until(lambda: _thread._count() == before)

    def test_the_watching_thread_ends_at_once_however_seldom_it_looks(self) -> None:
        before = _thread._count()
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")
        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
        wait_until(lambda: _thread._count() == before)
        with gcctl.batch():
            pass
        wait_until(lambda: _thread._count() == before)
        gcctl.uninstall()

        gcctl.install("off", memory_limit=LITTLE, check_interval=0.001)
        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
        wait_until(lambda: _thread._count() == before)

    def test_the_watching_thread_ends_with_the_controller(self) -> None:
        before = _thread._count()
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")
        with gcctl.batch():
            gcctl.uninstall()
            wait_until(lambda: _thread._count() == before)

    def test_no_thread_watches_without_a_limit(self) -> None:
        before = _thread._count()
        gcctl.install("off", memory_limit=None)
        with gcctl.batch():
            assert _thread._count() == before

    def test_goes_unwatched_where_no_thread_can_be_had(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gcctl.install("off", memory_limit=LITTLE)
        monkeypatch.setattr(_thread, "start_new_thread", no_thread)
        with gcctl.batch():
            assert not gc.isenabled()
        assert gc.isenabled()
        monkeypatch.undo()
        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)

    @forks_with_threads
    @needs_fork
    def test_is_watched_in_a_batch_of_a_child(self) -> None:
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")

        def child() -> object:
            with gcctl.batch():
                wait_until(lambda: gcctl.stats().high_memory_events == 1)
            return gcctl.stats().high_memory_events

        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
            assert in_child(child) == "1"


def no_thread(*args: object) -> None:
    raise RuntimeError("can't start new thread")


class TestBatchedGC:
    def test_hands_out_all_in_order_and_lazily(self, found: bool) -> None:
        asked: list[int] = []

        def source() -> Iterator[int]:
            for number in range(25):
                asked.append(number)
                yield number

        items = gcctl.batched_gc(source())
        assert asked == []
        assert gc.isenabled() is found, "it begins with the first item"
        for number in items:
            assert asked == list(range(number + 1))
            assert not gc.isenabled()
        assert len(asked) == 25
        assert gc.isenabled() is found

    @pytest.mark.parametrize(
        ("count", "every", "expected"),
        [
            (0, 1, [2]),
            (1, 1, [0, 2]),
            (25, 10, [0, 0, 2]),
            (20, 10, [0, 0, 2]),
            (9, 10, [2]),
            (3, 10**30, [2]),
        ],
    )
    def test_collects_generation_0_now_and_then_and_fully_at_its_end(
        self, count: int, every: int, expected: list[int]
    ) -> None:
        controller = gcctl.install("off")
        assert list(gcctl.batched_gc(range(count), every=every)) == list(range(count))
        events = [event for event in controller.events() if event.reason == "requested"]
        assert [event.generation for event in events] == expected

    def test_every_ten_items_is_the_default(self) -> None:
        gcctl.install("off")
        for number in gcctl.batched_gc(range(100)):
            assert requested() == number // 10

    def test_what_an_item_leaves_is_collected_on_the_way(self) -> None:
        alive = weakref.WeakSet[Node]()
        most = 0
        for _ in gcctl.batched_gc(range(100), every=5):
            alive.add(Node())
            most = max(most, len(alive))
        assert most == 5
        assert len(alive) == 0

    def test_it_works_without_install(self, found: bool) -> None:
        with collections() as seen:
            for _ in gcctl.batched_gc(range(4), every=2):
                pass
        assert [generation for generation in seen if not found] == ([] if found else [0, 0, 2])
        assert seen[-1] == 2

    def test_items_are_let_go_as_soon_as_they_are_handed_out(self) -> None:
        class Item:
            pass

        def source() -> Iterator[Item]:
            for _ in range(5):
                yield Item()

        for item in gcctl.batched_gc(source(), every=2):
            known = weakref.ref(item)
            del item
            assert known() is None

    def test_memory_is_checked_after_each_item(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_thread, "start_new_thread", no_thread)  # nobody else looks
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")
        events = [gcctl.stats().high_memory_events for _ in gcctl.batched_gc("abc", every=100)]
        assert events == [0, 1, 1]

    def test_leaving_the_loop_early_ends_it(self, found: bool) -> None:
        gcctl.install("off")
        for number in gcctl.batched_gc(itertools.count()):
            if number == 15:
                break
        assert gc.isenabled() is found
        assert requested() == 2

    def test_a_failure_in_the_body_ends_it(self, found: bool) -> None:
        mine = ValueError("mine")

        def work() -> None:
            for _ in gcctl.batched_gc(range(3)):
                raise mine

        with pytest.raises(ValueError, match="mine") as caught:
            work()
        assert caught.value is mine
        assert gc.isenabled() is found

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
    def test_a_failure_of_the_iterable_goes_on_unchanged(
        self, error: type[BaseException], found: bool
    ) -> None:
        mine = error("mine")

        class Source:
            def __iter__(self) -> Source:
                return self

            def __next__(self) -> int:
                raise mine

        gcctl.install("off")
        with pytest.raises(error) as caught:
            list(gcctl.batched_gc(Source()))
        assert caught.value is mine
        assert gc.isenabled() is found
        assert requested() == 1

    def test_close_and_throw_end_it(self, found: bool) -> None:
        for end in ("close", "throw"):
            items: Any = gcctl.batched_gc(range(3))
            next(items)
            assert not gc.isenabled()
            if end == "close":
                items.close()
            else:
                with pytest.raises(ZeroDivisionError):
                    items.throw(ZeroDivisionError())
            assert gc.isenabled() is found

    def test_dropped_before_its_first_item_it_never_began(self, found: bool) -> None:
        with collections() as seen:
            gcctl.batched_gc(range(3))
        assert gc.isenabled() is found
        assert seen == []

    def test_nested_loops_end_with_the_outer_one(self) -> None:
        controller = gcctl.install("off")
        pairs = [(a, b) for a in gcctl.batched_gc("ab") for b in gcctl.batched_gc("cd")]
        assert pairs == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]
        assert [e.generation for e in controller.events() if e.reason == "requested"] == [2]

    @pytest.mark.parametrize("every", [0, -1, True, 1.5, "10", None])
    def test_what_is_no_number_of_items_is_refused_at_the_call(self, every: Any) -> None:
        with pytest.raises(ValueError, match=r"^every: ") as caught:
            gcctl.batched_gc([], every=every)
        assert str(caught.value) == (
            f"every: {every!r} is not accepted; expected a whole number of at least 1"
        )

    def test_the_refusal_shows_any_value_in_short(self) -> None:
        for every in (-(10**5000), "x" * 10**6):
            with pytest.raises(ValueError, match="is not accepted; expected a whole") as caught:
                gcctl.batched_gc([], every=every)  # type: ignore[arg-type]
            assert len(str(caught.value)) < 200

    def test_what_cannot_be_iterated_is_refused_at_the_call(self) -> None:
        with pytest.raises(TypeError):
            gcctl.batched_gc(3)  # type: ignore[arg-type]

    @needs_fork
    def test_a_child_forked_in_it_can_go_on(self) -> None:
        items = gcctl.batched_gc(range(6), every=2)
        assert next(items) == 0
        assert in_child(lambda: (list(items), gc.isenabled())) == "([1, 2, 3, 4, 5], True)"
        assert not gc.isenabled()
        assert list(items) == [1, 2, 3, 4, 5]
        assert gc.isenabled()


INTERRUPTED = """
import dis, gc, sys
import gcctl

class SignalError(Exception):
    pass

opcodes = {}

def looks_for_signals(code, offset):
    if code not in opcodes:
        opcodes[code] = {i.offset: i.opname for i in dis.get_instructions(code)}
    opcode = opcodes[code].get(offset, "")
    return opcode.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))

def interrupted(work, raise_at):
    points = 0
    previous = {}

    def trace(frame, event, arg):
        nonlocal points
        if "gcctl" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            offset = previous.get(frame)
            previous[frame] = frame.f_lasti
            if offset is not None and looks_for_signals(frame.f_code, offset):
                points += 1
                if points == raise_at:
                    previous.clear()
                    sys.settrace(None)
                    raise SignalError
        return trace

    sys.settrace(trace)
    try:
        work()
    except SignalError:
        return True
    finally:
        sys.settrace(None)
    return False

def batch():
    with gcctl.batch():
        pass

def nested():
    with gcctl.batch(), gcctl.batch():
        pass

def loop():
    for _ in gcctl.batched_gc([1, 2, 3], every=2):
        pass
"""


class TestSignals:
    @pytest.mark.parametrize("work", ["batch", "nested", "loop"])
    @pytest.mark.parametrize("policy", [None, "off", "production"])
    def test_one_that_raises_anywhere_leaves_it_as_found(
        self, work: str, policy: str | None, tmp_path: Path
    ) -> None:
        """An exception at each point where CPython looks for signals, one after the other."""
        install = f"gcctl.install({policy!r}, memory_limit=None)" if policy else "gc.enable()"
        out = run_program(
            INTERRUPTED
            + f"""
{install}
enabled = gc.isenabled()
interrupted({work}, 0)  # CPython 3.12 and 3.13 may trace opcodes from the second time on only
raise_at = 1
while interrupted({work}, raise_at):
    assert gc.isenabled() is enabled, raise_at
    with gcctl.batch():
        assert not gc.isenabled()
    assert gc.isenabled() is enabled, raise_at
    raise_at += 1
    interrupted({work}, 0)
gcctl.uninstall()
print(gc.isenabled(), raise_at > 10)
""",
            tmp_path,
        )
        assert out == "True True\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="the flag is looked at otherwise there")
    @pytest.mark.parametrize("enabled", [True, False], ids=["gc on", "gc off"])
    def test_an_interrupt_in_the_last_collection_leaves_it_as_found(
        self, enabled: bool, tmp_path: Path
    ) -> None:
        """Raised where the collection ends: in a finalizer written in Python it would be lost."""
        out = run_program(
            f"""
            import ctypes, gc, signal, weakref, gcctl

            class Node:
                def __init__(self):
                    self.me = self

            signal.signal(signal.SIGINT, signal.default_int_handler)
            interrupt = ctypes.pythonapi.PyErr_SetInterrupt
            interrupt.argtypes, interrupt.restype = [ctypes.py_object], None
            if not {enabled}:
                gc.disable()
            for _ in range(2):
                batch = gcctl.batch()
                try:
                    with batch:
                        kept = weakref.ref(Node(), interrupt)
                except KeyboardInterrupt:
                    print(kept(), gc.isenabled())
                batch.__exit__(None, None, None)
                with gcctl.batch():
                    print(gc.isenabled())
                print(gc.isenabled())
            """,
            tmp_path,
        )
        assert out == f"None {enabled}\nFalse\n{enabled}\n" * 2

    @pytest.mark.skipif(sys.platform == "win32", reason="no interval timers on Windows")
    def test_a_storm_of_interrupts(self, tmp_path: Path) -> None:
        out = run_program(
            """
            import gc, random, signal, gcctl

            class Interrupt(BaseException):
                pass

            def handler(*args):
                raise Interrupt

            signal.signal(signal.SIGALRM, handler)
            gc.collect()
            gc.freeze()  # short collections
            wrong = 0
            for _ in range(2000):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
                    while True:
                        with gcctl.batch():
                            pass
                except Interrupt:
                    pass
                wrong += not gc.isenabled()
            print(wrong)
            """,
            tmp_path,
        )
        assert out == "0\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="no interval timers on Windows")
    def test_what_several_in_a_row_have_left_undone_is_done_by_the_next(
        self, tmp_path: Path
    ) -> None:
        out = run_program(
            """
            import gc, signal, gcctl

            class Interrupt(BaseException):
                pass

            def handler(*args):
                if armed:
                    raise Interrupt

            armed = False
            signal.signal(signal.SIGALRM, handler)
            gc.collect()
            gc.freeze()  # short collections
            for number in range(2000):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 5e-5, 2e-5)
                    armed = True
                    with gcctl.batch():
                        pass
                    armed = False
                except Interrupt:
                    armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
                if number % 2:
                    with gcctl.batch():
                        assert not gc.isenabled()
                else:
                    gcctl.uninstall()
                assert gc.isenabled(), number
            print("fine")
            """,
            tmp_path,
        )
        assert out == "fine\n"


class Entry:
    def __init__(self, under_controller: bool) -> None:
        self.under_controller = under_controller
        self.running = True


class Machine(RuleBasedStateMachine):
    """Batches, controllers and others who switch automatic GC, in any order."""

    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # short collections
        gc.enable()
        self.on = True
        self.in_the_end = True  # what it will be when no batch runs any more
        self.entries: dict[int, list[Entry]] = {number: [] for number in range(3)}
        self.batches = {number: gcctl.batch() for number in self.entries}
        self.installed = False
        self.requested = 0

    @property
    def running(self) -> list[Entry]:
        return [entry for stack in self.entries.values() for entry in stack if entry.running]

    @property
    def meant(self) -> bool:
        return self.on or (bool(self.running) and self.in_the_end)

    def switch(self, on: bool) -> None:
        self.in_the_end = on
        self.on = on and (self.on or not self.running)

    def end(self, entry: Entry) -> None:
        entry.running = False
        if not self.running and self.in_the_end:
            self.on = True

    @rule(number=st.integers(0, 2))
    def enter(self, number: int) -> None:
        self.batches[number].__enter__()
        self.in_the_end = self.meant
        self.on = False
        self.entries[number].append(Entry(self.installed))

    @rule(number=st.integers(0, 2), failing=st.booleans())
    def leave(self, number: int, failing: bool) -> None:
        error = ValueError() if failing else None
        assert self.batches[number].__exit__(type(error), error, None) is None  # type: ignore[func-returns-value, arg-type]
        stack = self.entries[number]
        if stack:
            entry = stack.pop()
            if entry.running:
                last = not self.running
                if last:
                    self.requested += 1
                if last and self.in_the_end:
                    self.on = True

    @rule(number=st.integers(0, 2))
    def drop(self, number: int) -> None:
        self.batches[number] = gcctl.batch()
        for entry in [entry for entry in self.entries[number] if entry.running]:
            self.end(entry)
        self.entries[number] = []

    @precondition(lambda self: not self.installed)
    @rule(automatic=st.sampled_from(AUTOMATIC))
    def install(self, automatic: bool | None) -> None:
        gcctl.install("off", automatic_gc=automatic)
        self.installed = True
        self.requested = 0
        self.original = self.meant
        self.ours = self.original if automatic is None else automatic
        if automatic is not None:
            self.switch(automatic)

    @rule()
    def install_what_is_refused(self) -> None:
        with pytest.raises(gcctl.GcctlError):
            gcctl.install("off", gen0_every=-1)

    @precondition(lambda self: self.installed)
    @rule()
    def uninstall(self) -> None:
        gcctl.uninstall()
        self.installed = False
        for entry in [entry for entry in self.running if entry.under_controller]:
            self.end(entry)
        if self.meant == self.ours != self.original:
            self.switch(self.original)

    @rule()
    def others_switch_it_on(self) -> None:
        gc.enable()
        self.on = True

    @rule()
    def others_switch_it_off(self) -> None:
        gc.disable()
        self.on = False

    @rule()
    def tick(self) -> None:
        gcctl.tick()

    @invariant()
    def automatic_gc_is_as_it_should_be(self) -> None:
        assert gc.isenabled() is self.on
        if self.installed:
            assert requested() == self.requested

    def teardown(self) -> None:
        gcctl.uninstall()
        for batch in self.batches.values():
            for _ in range(60):
                batch.__exit__(None, None, None)
        gc.enable()
        gc.unfreeze()


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
