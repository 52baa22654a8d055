"""The policy `auto` in a real process: what is tenured, collected and given back."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from frozen_count import frozen_objects
from processes import run_program, wait_until

import gcctl
from gcctl._auto import debt, full_collections, rules
from gcctl._concurrent.coordinator import coordinator
from gcctl._interpreter.asking import asks
from gcctl._interpreter.collector import COLLECTOR
from gcctl._interpreter.mechanisms import missing
from gcctl._process.twins import core

NOT_TENURED = pytest.mark.skipif(bool(missing("tenure")), reason="nothing is tenured here")
ASKS = pytest.mark.skipif(not asks(), reason="this process cannot ask its main thread")
CONCURRENT = pytest.mark.skipif(bool(coordinator.missing), reason="full collections stop the world")
OFTEN: dict[str, Any] = {"check_interval": "1ms", "gc_budget": 1.0}
MANY = 20_000
"""More objects than gcctl itself has, and fewer than a test run."""


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.other: Node = self
        self.data: list[list[int]] = []


def cycle(objects: int = 0) -> weakref.ref[Node]:
    """Garbage from now on: a cycle, with so many further objects in it."""
    node = Node()
    node.data = [[] for _ in range(objects)]
    return weakref.ref(node)


def serve_until(done: Callable[[], object], seconds: float = 20) -> None:
    """Requests, until something is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        with gcctl.request():
            pass
        time.sleep(0.0005)


def now() -> gcctl.AutoStats:
    """What the policy knows and did."""
    found = gcctl.stats().auto
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    gcctl.uninstall()
    gc.unfreeze()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collections of older generations and full ones come as fast as they are wanted."""
    monkeypatch.setattr(debt, "SHORTEST_NS", dict.fromkeys(debt.SHORTEST_NS, 0))
    monkeypatch.setattr(full_collections, "ROUTINE_NS", 0)
    monkeypatch.setattr(full_collections, "QUIET_NS", 0)


class TestInstalling:
    def test_it_is_the_default(self) -> None:
        assert gcctl.install().config.policy == "auto"

    def test_automatic_gc_is_a_safety_net_and_comes_back(self) -> None:
        before = gc.isenabled(), gc.get_threshold()
        with gcctl.install(max_pause="10ms"):
            assert gc.isenabled()
            serve_until(lambda: gc.get_threshold()[0] > before[1][0])
        assert (gc.isenabled(), gc.get_threshold()) == before

    def test_whatever_the_threshold_of_generation_0_was(self) -> None:
        before = gc.get_threshold()
        gc.set_threshold(10_000, 10, 10)
        try:
            with gcctl.install(**OFTEN):
                serve_until(lambda: gc.get_threshold()[1] == 5)
        finally:
            gc.set_threshold(*before)

    def test_thresholds_that_are_given_stay(self) -> None:
        gcctl.install(thresholds=(12_345, 7, 8))
        assert gc.get_threshold()[:2] == (12_345, 7)

    @NOT_TENURED
    def test_what_is_there_is_tenured_and_given_back(self) -> None:
        with gcctl.install():
            assert frozen_objects() > MANY
        assert frozen_objects() == 0

    @NOT_TENURED
    def test_what_others_froze_before_stays_frozen_and_more_is_tenured_on_top(self) -> None:
        gc.freeze()
        frozen = frozen_objects()
        assert frozen > MANY
        kept = [Node() for _ in range(MANY)]
        with gcctl.install():
            assert frozen_objects() > frozen + MANY
            assert now().tenured == 1
            gc.collect()
            assert frozen_objects() > frozen / 2
        assert frozen / 2 < frozen_objects() <= frozen
        assert len(kept) == MANY

    @NOT_TENURED
    def test_what_others_froze_since_is_not_thawed(self) -> None:
        gcctl.install(**OFTEN)
        gc.freeze()
        assert gcctl.stats().alert_counts.gc_settings_changed == 1
        gc.collect()
        assert gc.get_freeze_count() > MANY
        gcctl.uninstall()
        assert gc.get_freeze_count() > MANY

    @NOT_TENURED
    def test_what_others_have_thawed_is_tenured_again(self) -> None:
        gcctl.install(**OFTEN)
        gc.unfreeze()
        assert frozen_objects() == 0
        serve_until(lambda: frozen_objects() > MANY)
        gc.freeze()
        gc.unfreeze()
        serve_until(lambda: frozen_objects() > MANY)

    def test_a_freeze_of_its_own_is_no_change_of_somebody_elses(self, impatient: None) -> None:
        gcctl.install(**OFTEN)
        serve_until(lambda: now().tenured > 3 or now().tenured == 0)
        assert not gcctl.stats().alert_counts.gc_settings_changed


class TestCollecting:
    def test_young_garbage_goes_at_the_boundary_after_enough_allocations(self) -> None:
        gcctl.install(check_interval="1h", thresholds=(100_000, 10, 10))
        with gcctl.request():
            few = cycle()
        assert few() is not None
        with gcctl.request():
            many = cycle(2 * rules.YOUNG_AFTER)
        assert few() is None
        assert many() is None

    def test_and_at_a_check_even_if_nothing_more_is_allocated(self) -> None:
        gcctl.install(**OFTEN)
        dead = cycle()
        serve_until(lambda: dead() is None)

    @pytest.mark.parametrize("generation", [1, 2])
    def test_older_garbage_goes(self, impatient: None, generation: int) -> None:
        gcctl.install(**OFTEN)
        node = Node()
        dead = weakref.ref(node)
        for young in range(generation):
            core.collect(young, 0)
        del node
        serve_until(lambda: dead() is None)

    @NOT_TENURED
    def test_tenured_garbage_goes_in_a_full_collection(self, impatient: None) -> None:
        node = Node()
        dead = weakref.ref(node)
        gcctl.install(**OFTEN)
        del node
        gc.collect(1)
        assert dead() is not None
        serve_until(lambda: dead() is None)
        assert now().full_collections
        assert "full collection" in gcctl.report()

    @NOT_TENURED
    def test_an_explicit_collection_goes_through_tenured_objects_and_leaves_them_tenured(
        self,
    ) -> None:
        node = Node()
        dead = weakref.ref(node)
        gcctl.install()
        del node
        gc.collect()
        assert dead() is None
        assert frozen_objects() > MANY

    @NOT_TENURED
    def test_also_where_full_collections_stop_the_world(self, impatient: None) -> None:
        node = Node()
        dead = weakref.ref(node)
        gcctl.install(full_collection="stop", **OFTEN)
        del node
        serve_until(lambda: dead() is None)
        assert frozen_objects() > MANY

    def test_a_failing_request_has_no_full_collection(self) -> None:
        gcctl.install()
        with suppress(ValueError), gcctl.request():
            raise ValueError
        assert gcctl.stats().collections_by_generation[1:] == (1, 0)

    @NOT_TENURED
    def test_tenured_garbage_goes_when_memory_is_over_its_limit(self) -> None:
        node = Node()
        dead = weakref.ref(node)
        gcctl.install(memory_limit=1, **OFTEN)
        del node
        serve_until(lambda: dead() is None)


@pytest.fixture
def another_thread() -> Iterator[None]:
    """The program has one, so that finalizers may run in any."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    yield
    leave.set()
    thread.join()


class TestWithoutBoundaries:
    @ASKS
    def test_finalizers_of_an_event_loop_run_in_its_thread(self, tmp_path: Path) -> None:
        source = """
        import asyncio, gcctl, threading, time

        in_main = []

        class Node:
            def __init__(self):
                self.me = self

            def __del__(self):  # asking for it leaves a dummy of the thread in CPython up to 3.12
                in_main.append(threading.current_thread() is threading.main_thread())

        async def serve():
            for _ in range(3):
                time.sleep(0.01)
                gcctl.tick()
            Node()
            time.sleep(0.5)
            gcctl.tick()

        gcctl.install(check_interval="1ms")
        for _ in range(3):
            time.sleep(0.01)
            gcctl.tick()
        Node()
        for _ in range(1000):
            if in_main:  # though asyncio is imported: no event loop has run yet
                break
            time.sleep(0.01)
        asyncio.run(serve())
        print(in_main)
        """
        assert run_program(source, tmp_path) == "[True, True]\n"

    @CONCURRENT
    def test_an_event_loop_that_marks_no_requests_has_full_collections(
        self, tmp_path: Path
    ) -> None:
        source = """
        import asyncio, gcctl, time

        gcctl.install(max_pause="1ms")
        kept = []

        async def work():
            end = time.monotonic() + 20
            while not gcctl.stats().auto.full_collections and time.monotonic() < end:
                for _ in range(2_000):
                    node = [[]]
                    node.append(node)
                    kept.append(node)
                await asyncio.sleep(0.001)

        asyncio.run(work())
        auto = gcctl.stats().auto
        print(auto.tenured > 1, auto.full_collections > 0, gcctl.stats().faults)
        """
        assert run_program(source, tmp_path) == "True True 0\n"

    def test_an_event_loop_that_goes_idle_has_its_collection_taken_to_its_end(
        self, tmp_path: Path
    ) -> None:
        source = """
        import asyncio, gcctl

        async def serve():
            gcctl.install(check_interval="1ms")
            for _ in range(3):
                await asyncio.sleep(0.01)
                gcctl.tick()
            collection = gcctl.collect_concurrently()
            for _ in range(2_000):
                await asyncio.sleep(0.01)
                if collection.outcome is not None:
                    break
            print(collection.outcome)

        asyncio.run(serve())
        """
        outcome = run_program(source, tmp_path)
        assert outcome == "collected\n" or outcome.startswith("fallback")

    @ASKS
    def test_what_allocates_while_no_request_comes_has_thresholds_as_found(self) -> None:
        gcctl.install(**OFTEN)
        found = gc.get_threshold()[0]
        serve_until(lambda: gc.get_threshold()[1] == 5)
        wait_until(lambda: gc.get_threshold()[0] <= max(found, 700))

    @ASKS
    def test_what_goes_wrong_there_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*given: object) -> bool:
            raise RuntimeError

        gcctl.install(**OFTEN)
        serve_until(lambda: gc.get_threshold()[1] == 5)  # since that check it is asked for
        monkeypatch.setattr(rules.Rules, "check", broken)
        wait_until(lambda: gcctl.stats().faults > 0)
        monkeypatch.undo()

    @ASKS
    def test_at_idle_everything_owed_is_collected(self, another_thread: None) -> None:
        gcctl.install(**OFTEN)
        serve_until(lambda: gcctl.stats().collections > 1)
        dead = cycle()
        wait_until(lambda: dead() is None)

    def test_the_thread_ends_when_nothing_is_owed(self) -> None:
        before = native_threads()
        gcctl.install(**OFTEN)
        serve_until(lambda: gcctl.stats().collections > 1)
        wait_until(lambda: native_threads() <= before)

    def test_uninstalling_ends_the_thread(self) -> None:
        before = native_threads()
        gcctl.install(**OFTEN)
        serve_until(lambda: gcctl.stats().collections > 1)
        gcctl.uninstall()
        wait_until(lambda: native_threads() <= before)  # the system is a little behind

    @ASKS
    def test_in_a_request_without_end_large_garbage_is_not_left_to_pile_up(
        self, tmp_path: Path
    ) -> None:
        source = """
        import gcctl, resource, time

        gcctl.install()
        for _ in range(200):
            gcctl.tick()
            time.sleep(0.001)
        with gcctl.request():
            end = time.monotonic() + 3
            while time.monotonic() < end:
                cycle = [bytearray(b"x") * 300_000]
                cycle.append(cycle)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """
        # As many as automatic GC would leave under the threshold of 10,000 objects are 3 GB.
        assert int(run_program(source, tmp_path)) < 1_500_000

    @CONCURRENT
    def test_what_automatic_gc_leaves_in_generation_2_is_tenured(self) -> None:
        program = """
import gc, gcctl
print(gcctl.stats().policy)
from gcctl._interpreter.compiled import frozen_objects
before = frozen_objects()
kept = [[] for _ in range(1_000_000)]
print(frozen_objects() > before + 100_000, gcctl.stats().auto.tenured > 1)
gcctl.uninstall()
print(gc.get_freeze_count() < 1000)  # CPython 3.12 starts with some
"""
        command = [sys.executable, "-Im", "gcctl", "run", "-"]
        environment = os.environ | {"GCCTL_MAX_PAUSE": "1ms"}  # and with it a low threshold
        done = subprocess.run(
            command, input=program, capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout == "auto\nTrue True\nTrue\n"

    def test_nothing_is_tenured_where_full_collections_stop_the_world(self, tmp_path: Path) -> None:
        source = """
        import gc, gcctl

        gcctl.install(max_pause="1ms", full_collection="stop")
        gc.collect()  # what that leaves is tenured, once more
        before = gcctl.stats().auto.tenured
        kept = [[] for _ in range(1_000_000)]
        auto = gcctl.stats().auto
        print(auto.tenured - before, auto.full_collections)
        """
        assert run_program(source, tmp_path) == "0 0\n"

    @NOT_TENURED
    def test_what_was_left_untenured_is_tenured_with_the_first_requests(
        self, tmp_path: Path
    ) -> None:
        source = """
        import gcctl, time

        gcctl.install(full_collection="stop", check_interval="1ms")
        kept = [[] for _ in range(1_000_000)]
        before = gcctl.stats().auto
        for _ in range(3):
            time.sleep(0.01)
            gcctl.tick()
        print(before.tenured, before.recent_predicted_ns > 0, gcctl.stats().auto.tenured > 1)
        """
        assert run_program(source, tmp_path) == "1 True True\n"

    @ASKS
    @pytest.mark.parametrize(
        "found",
        [
            (700, 0, 10),
            (1, 1, 1),
            (700, 10, 0),
            (700, -2, -2),
            (0, 10, 10),
            (1_999, 11, 2**31 - 1),
        ],
    )
    def test_thresholds_that_were_found_may_be_any(
        self, tmp_path: Path, found: tuple[int, int, int]
    ) -> None:
        source = f"""
        import gc, gcctl, time

        gc.set_threshold{found}
        before = gc.get_threshold()
        gcctl.install(gc_budget=0.0001)
        kept = [bytes(10**6) for _ in range(50)]  # young garbage may be much, then
        end = time.monotonic() + 60
        while gc.get_threshold()[0] <= before[0] and time.monotonic() < end:
            for _ in range(10_000):
                cycle = []
                cycle.append(cycle)
        young, middle, old = gc.get_threshold()
        gcctl.uninstall()
        print(young > before[0], gc.get_threshold() == before, gcctl.stats().faults)
        """
        assert run_program(source, tmp_path) == "True True 0\n"

    @CONCURRENT
    @pytest.mark.skipif(COLLECTOR != "generational", reason="there is no generation 2")
    @pytest.mark.parametrize("in_a_loop", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_none_of_generation_2_comes_while_a_full_collection_runs(
        self, tmp_path: Path, in_a_loop: bool
    ) -> None:
        """But in an event loop that is busy, where the full one gets no turn."""
        source = f"""
        import asyncio, gc, gcctl, time
        from gcctl._concurrent.coordinator import coordinator

        before = gc.get_threshold()
        gcctl.install(max_pause="1ms")
        kept, thresholds, end = [], set(), time.monotonic() + 20

        def make():
            kept.extend([] for _ in range(2_000))
            if coordinator.running is not None:
                thresholds.add(gc.get_threshold()[2])

        async def work():
            while not thresholds and time.monotonic() < end:
                make()
                await asyncio.sleep(0.001)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                make()
            while gc.get_threshold()[2] > 10 and time.monotonic() < end:
                await asyncio.sleep(0.01)

        if {in_a_loop}:
            asyncio.run(work())
        else:
            while max(thresholds, default=0) < 10**9 and time.monotonic() < end:
                make()
            while gc.get_threshold()[2] > 10 and time.monotonic() < end:
                time.sleep(0.01)
        most = gc.get_threshold()[2]
        gcctl.uninstall()
        print(max(thresholds), most <= 10, gc.get_threshold() == before, gcctl.stats().faults)
        """
        assert run_program(source, tmp_path).endswith(" True True 0\n")

    @CONCURRENT
    def test_automatic_gc_is_kept_from_going_through_what_lives_on(self, tmp_path: Path) -> None:
        source = """
        import gc, gcctl

        gc.set_threshold(1000, 10, 10)
        gcctl.install(max_pause="1ms")
        kept = [[] for _ in range(500_000)]
        young, middle, old = gcctl.stats().collections_by_generation
        print(young > 10 * (middle + old))
        """
        # By itself it would do so after each seventh.
        assert run_program(source, tmp_path) == "True\n"


def native_threads() -> int:
    """Of this process, those that Python does not know too."""
    threads: int = psutil.Process().num_threads()
    return threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_goes_on(impatient: None) -> None:
    gcctl.install(**OFTEN)
    serve_until(lambda: gcctl.stats().collections)
    child = os.fork()
    if not child:
        status = 1
        with suppress(BaseException):
            dead = cycle()
            serve_until(lambda: dead() is None)
            gcctl.uninstall()
            status = frozen_objects()
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_without_it_there_is_nothing_to_tell() -> None:
    gcctl.install("off")
    assert gcctl.stats().auto is None
    assert "tenured" not in gcctl.report()
