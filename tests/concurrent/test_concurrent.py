"""Concurrent full collections through their public doors: what is freed, when, and what is told."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from collecting import Node
from concurrent_collections import concurrent_only, fallback_only
from paths import SUPPORT
from processes import run_program, wait_until
from windows import answer

import gcctl
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.feasibility import Feasibility


@pytest.fixture(autouse=True)
def undisturbed(no_collection_by_itself: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No automatic full collection makes one void, none is avoided because the machine is slow,
    and none is left running."""
    monkeypatch.setattr("gcctl._concurrent.feasibility.Feasibility.why_not", lambda *expected: "")
    yield
    gcctl.collect_concurrently().finish()


def old_garbage(count: int = 1) -> list[weakref.ref[Node]]:
    """Unreachable objects that no collection but a full one finds."""
    nodes = [Node() for _ in range(count)]
    refs = [weakref.ref(node) for node in nodes]
    gc.collect()
    del nodes
    return refs


def dead(refs: list[weakref.ref[Node]]) -> int:
    return sum(ref() is None for ref in refs)


def child_of_this_process() -> int:
    """The process that searches for garbage. It has no exit signal."""
    children = [
        int(child)
        for task in os.listdir("/proc/self/task")
        for child in Path(f"/proc/self/task/{task}/children").read_text().split()
    ]
    (child,) = children
    return child


@concurrent_only
class TestHandle:
    def test_finish_collects_what_is_unreachable(self) -> None:
        refs = old_garbage(1000)
        handle = gcctl.collect_concurrently()
        outcomes = [handle.outcome]
        assert dead(refs) == 0
        assert handle.finish() >= 1000
        assert dead(refs) == 1000
        outcomes.append(handle.outcome)
        assert outcomes == [None, "collected"]
        assert handle.ready

    def test_finish_may_be_called_again(self) -> None:
        old_garbage(10)
        handle = gcctl.collect_concurrently()
        assert handle.finish() == handle.finish() >= 10

    def test_it_becomes_ready_by_itself(self) -> None:
        handle = gcctl.collect_concurrently()
        wait_until(lambda: handle.ready)
        assert handle.outcome is None

    def test_a_second_start_returns_the_one_that_runs(self) -> None:
        handle = gcctl.collect_concurrently()
        assert gcctl.collect_concurrently() is handle
        handle.finish()
        assert gcctl.collect_concurrently() is not handle

    def test_frozen_garbage_is_collected_and_the_rest_stays_frozen(self) -> None:
        refs = old_garbage(100)
        kept = [Node() for _ in range(100)]
        gc.freeze()
        try:
            frozen = gc.get_freeze_count()
            gcctl.collect_concurrently().finish()
            assert dead(refs) == 100
            assert gc.get_freeze_count() > frozen / 2
        finally:
            gc.unfreeze()
        assert len(kept) == 100

    def test_one_that_nobody_holds_ends(self) -> None:
        handle = gcctl.collect_concurrently()
        child = child_of_this_process()
        del handle
        gcctl.collect_concurrently().finish()
        assert not Path(f"/proc/{child}").exists()

    def test_what_it_took_is_measured(self) -> None:
        old_garbage(5_000)
        handle = gcctl.collect_concurrently()
        handle.finish()
        run = handle.measured
        assert run.tracked_objects > run.unreachable >= run.candidates >= 5_000
        assert run.components >= 5_000
        assert run.objects_collected >= 5_000
        assert run.start_pause_ns > 0
        assert run.answer_ns > 0
        assert 0 < run.sweep_pause_max_ns <= run.sweep_total_ns
        assert run.slices > 1
        assert run.child_cpu_ns > 0
        assert run.table_bytes > 0


@concurrent_only
class TestBoundaries:
    def test_sweep_in_slices(self) -> None:
        refs = old_garbage(20_000)
        gcctl.install("off")
        handle = gcctl.collect_concurrently()
        wait_until(lambda: handle.ready)
        assert dead(refs) == 0
        gcctl.tick()
        assert 0 < dead(refs) < 20_000

        def outcome() -> str | None:
            gcctl.tick()
            return handle.outcome

        wait_until(outcome)
        assert dead(refs) == 20_000
        assert gcctl.stats().collections_by_reason.concurrent == handle.measured.slices + 1

    def test_take_it_to_its_end_though_nobody_holds_it(self) -> None:
        refs = old_garbage(10)
        gcctl.install("off")
        gcctl.collect_concurrently()

        def collected() -> int:
            gcctl.tick()
            return gcctl.stats().concurrent.collected

        wait_until(collected)
        assert dead(refs) == 10

    @pytest.mark.parametrize("policy", ["instagram", "production", "conservative"])
    def test_full_collections_of_presets(self, policy: str) -> None:
        refs = old_garbage(10)
        gcctl.install(policy, full_collection="concurrent", gen2_every=5, max_pause="1h")
        for _ in range(4):
            gcctl.tick()
        assert gcctl.stats().concurrent.started == 0
        gcctl.tick()
        assert gcctl.stats().concurrent.started == 1
        handle = gcctl.collect_concurrently()
        handle.finish()
        assert dead(refs) == 10
        stats = gcctl.stats()
        assert stats.concurrent.collected == 1
        assert stats.concurrent.objects_collected >= 10
        assert stats.collections_by_generation[2] == 1

    def test_one_that_another_collection_prevents_is_made_up_for(self) -> None:
        begun, leave = threading.Event(), threading.Event()

        class Slow:
            def __del__(self) -> None:
                begun.set()
                leave.wait()

        slow = Slow()
        slow.me = slow  # type: ignore[attr-defined]
        del slow
        many = 100_000
        gcctl.install("off", full_collection="concurrent", gen2_every=many, check_interval="1ms")
        for _ in range(many - 1):
            gcctl.tick()
        other = threading.Thread(target=gc.collect)
        other.start()
        begun.wait()
        gcctl.tick()
        assert gcctl.stats().concurrent.started == 0
        leave.set()
        other.join()

        def started() -> int:
            gcctl.tick()
            return gcctl.stats().concurrent.started

        wait_until(started)
        assert gcctl.stats().requests < 2 * many

    def test_without_it_presets_stop_the_world(self) -> None:
        gcctl.install("instagram", gen2_every=1)
        gcctl.tick()
        stats = gcctl.stats()
        assert stats.concurrent == gcctl.ConcurrentStats()
        assert stats.collections_by_reason.scheduled == 1


@concurrent_only
class TestVoid:
    """Nothing is freed, and everything is as before."""

    def check(self, spoil: Callable[[], object], reason: str) -> None:
        refs = old_garbage(10)
        handle = gcctl.collect_concurrently()
        spoil()
        handle.finish()
        assert handle.outcome == f"void: {reason}"
        assert handle.ready
        again = answer(gcctl.collect_concurrently())
        again.finish()
        assert again.outcome == "collected"
        assert dead(refs) == 10

    def test_by_another_full_collection(self) -> None:
        self.check(gc.collect, "another full collection came in between")

    def test_by_tracemalloc_started(self) -> None:
        try:
            self.check(tracemalloc.start, "the object allocator was replaced in the meantime")
        finally:
            tracemalloc.stop()

    def test_by_tracemalloc_stopped(self) -> None:
        tracemalloc.start()
        self.check(tracemalloc.stop, "the object allocator was replaced in the meantime")

    def test_by_the_death_of_the_child(self) -> None:
        kept = [[] for _ in range(300_000)]  # type: ignore[var-annotated] # it has to go through
        self.check(
            lambda: os.kill(child_of_this_process(), signal.SIGKILL),
            "the child was ended by SIGKILL",
        )
        del kept

    def test_by_uninstalling(self) -> None:
        gcctl.install("off")
        handle = gcctl.collect_concurrently()
        gcctl.uninstall()
        assert handle.outcome == "void: gcctl was uninstalled"


@concurrent_only
class TestTogether:
    def test_a_thread_that_ends_leaves_it_running(self) -> None:
        handles = []
        refs = old_garbage(10)
        thread = threading.Thread(target=lambda: handles.append(gcctl.collect_concurrently()))
        thread.start()
        thread.join()
        handles[0].finish()
        assert dead(refs) == 10

    def test_several_threads_finish_it(self) -> None:
        refs = old_garbage(5_000)
        handle = gcctl.collect_concurrently()
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(handle.finish())) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert dead(refs) == 5_000
        assert len(set(answers)) == 1

    def test_a_finalizer_that_starts_one_and_finishes_it(self) -> None:
        seen: list[object] = []

        class Curious(Node):
            def __del__(self) -> None:
                again = gcctl.collect_concurrently()
                seen.append((again is handle, again.finish() >= 0))

        curious = Curious()
        gc.collect()
        del curious
        handle = gcctl.collect_concurrently()
        handle.finish()
        assert seen == [(True, True)]

    def test_the_live_heap_stays_as_it_is(self) -> None:
        kept = {number: [Node(), number] for number in range(10_000)}
        old_garbage(10_000)
        handle = gcctl.collect_concurrently()
        for number in range(0, 10_000, 2):
            kept[number] = [Node(), number]
        handle.finish()
        assert all(node.me is node and n == number for number, (node, n) in kept.items())  # type: ignore[attr-defined]


@fallback_only
def test_elsewhere_the_world_is_stopped_which_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcctl._concurrent.coordinator.coordinator._logged", set())
    refs = old_garbage(10)
    handle = gcctl.collect_concurrently()
    assert dead(refs) == 10
    assert handle.finish() >= 10
    assert handle.ready
    assert handle.outcome is not None
    assert handle.outcome.startswith("fallback: ")
    gcctl.collect_concurrently()
    assert caplog.text.count("a full collection stopped the world: ") == 1


@concurrent_only
class TestRepeatedFailures:
    def fail(self) -> gcctl.ConcurrentCollection:
        handle = gcctl.collect_concurrently()
        tracemalloc.start()
        handle.finish()
        tracemalloc.stop()
        return handle

    def test_two_in_a_row_are_followed_by_stops(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.undo()  # feasibility is what this is about
        monkeypatch.setattr("gcctl._concurrent.coordinator.coordinator._feasibility", Feasibility())
        assert {self.fail().outcome for _ in range(2)} == {
            "void: the object allocator was replaced in the meantime"
        }
        refs = old_garbage(10)
        handle = gcctl.collect_concurrently()
        assert dead(refs) == 10
        assert str(handle.outcome).startswith("fallback: the last ones were void: ")
        assert "a full collection stopped the world: the last ones were void" in caplog.text

    def test_one_alone_is_not(self) -> None:
        self.fail()
        handle = gcctl.collect_concurrently()
        handle.finish()
        assert handle.outcome == "collected"


@concurrent_only
def test_what_was_prepared_is_not_found_out_again_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found_out: list[None] = []

    def why_not(*expected: object) -> str:
        found_out.append(None)
        return "it was not to be"

    monkeypatch.setattr("gcctl._concurrent.feasibility.Feasibility.why_not", why_not)
    coordinator.prepare()
    for times in (1, 2):  # what was prepared is for one collection
        assert gcctl.collect_concurrently().outcome == "fallback: it was not to be"
        assert len(found_out) == times
    monkeypatch.setattr("gcctl._concurrent.coordinator.PREPARED_NS", 0)
    coordinator.prepare()
    gcctl.collect_concurrently()
    assert len(found_out) == 4


@concurrent_only
def test_no_finalizer_runs_in_the_child() -> None:
    """Making the dictionaries of instances may be what sets off an automatic collection there."""
    ran_in: list[int] = []
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    class Telling(Node):
        def __del__(self) -> None:
            os.write(writer, b"x")
            ran_in.append(os.getpid())

    thresholds = gc.get_threshold()
    nodes = [Telling() for _ in range(500)]
    gc.collect()
    gc.set_threshold(1, 1, 1000)
    try:
        gc.disable()
        nodes.clear()
        handle = gcctl.collect_concurrently()
        handle.finish()
    finally:
        gc.set_threshold(*thresholds)
        gc.enable()
    assert ran_in == [os.getpid()] * 500
    assert os.read(reader, 1000) == b"x" * 500
    os.close(reader)
    os.close(writer)


@concurrent_only
@pytest.mark.parametrize("others", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_finalizer_of_another_collection_cannot_finish_it_and_does_not_hang(
    others: bool, tmp_path: Path
) -> None:
    """In a process of one thread it returns at once; beside others it waits for theirs. Pytest's
    own process may have others."""
    source = f"""
        import gc, sys, threading, time, weakref
        sys.path.insert(0, {str(SUPPORT)!r})
        import gcctl, windows
        from collecting import Node

        windows.always_feasible()
        gc.disable()
        if {others}:
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        nodes = [Node() for _ in range(100)]
        refs = [weakref.ref(node) for node in nodes]
        gc.collect()
        del nodes
        handle = windows.answer(gcctl.collect_concurrently())
        seen = []

        class Hasty(Node):
            def __del__(self):
                began = time.monotonic()
                answer = handle.finish(), handle.outcome
                seen.append((*answer, time.monotonic() - began > 4))

        Hasty()
        gc.collect(0)
        found = handle.finish()
        print(seen, found >= 100, sum(ref() is None for ref in refs), handle.outcome)
        """
    assert run_program(source, tmp_path) == f"[(0, None, {others})] True 100 collected\n"


@concurrent_only
def test_several_threads_that_start_at_once_start_one() -> None:
    barrier = threading.Barrier(4)
    handles: list[gcctl.ConcurrentCollection] = []

    def start() -> None:
        barrier.wait()
        handles.append(gcctl.collect_concurrently())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for handle in handles:
        handle.finish()
    assert {handle.outcome for handle in handles} == {"collected"}


class InterruptError(Exception):
    """Raised by a signal handler, as it were."""


@concurrent_only
# Interrupted are others too: Hypothesis has a gc callback.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("every", [37, pytest.param(5, marks=pytest.mark.slow)])
def test_an_interrupted_finish_can_be_finished(every: int) -> None:
    here = sys._getframe().f_code
    for interrupted_at in range(1, 10_000, every):
        refs = old_garbage(10)
        handle = answer(gcctl.collect_concurrently())
        left = interrupted_at

        def interrupt(frame: FrameType, *_: object) -> None:
            nonlocal left
            if frame.f_code is here:  # else the call that ends this might be the one
                return
            left -= 1
            if left == 0:
                raise InterruptError

        sys.setprofile(interrupt)
        try:
            handle.finish()
        except InterruptError:
            pass
        finally:
            sys.setprofile(None)
        completed = left > 0
        handle.finish()
        assert handle.outcome == "collected"
        assert dead(refs) == 10
        if completed:
            break
    assert interrupted_at > 20
