"""Memory pressure: the mode and its rules with made-up memory, then real memory and real groups."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from memory_hog import MIB, hog
from paths import SUPPORT
from processes import in_child, wait_until
from real_cgroup import RealCgroup, real_cgroup

import gcctl
from gcctl._memory.cgroup import MemoryGroups
from gcctl._memory.limits import OwnLimit
from gcctl._memory.memory_event import MemoryEvent
from gcctl._memory.pressure import (
    ALERT_AT,
    FRUITLESS,
    GROWN,
    LEAVE_AT,
    UNKNOWN_CHECKS,
    Listener,
    Pressure,
)
from gcctl._memory.protocol import Threshold
from gcctl._process import twins

LIMIT = 1000
SECOND = 10**9
BUDGET = 0.1

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux has /proc and control groups")


class World:
    """Memory of any size, and a collector that frees what is garbage in no time or in some."""

    def __init__(self, tmp_path: Path | None = None, own: Callable[[], int] | None = None) -> None:
        self.live = 0
        self.garbage = 0
        self.time_ns = 0
        self.took_ns = 1_000_000
        self.spent_ns = 0
        self.trims = 0
        self.can_trim = True
        self.collector_busy = False
        self.runs: list[int] = []
        self.during: Callable[[], object] | None = None
        self.entered: list[str] = []
        self.events: list[MemoryEvent] = []
        self.exhausted: list[MemoryEvent] = []
        self.proc = tmp_path
        listener = Listener(
            lambda time_ns, message: self.entered.append(message),
            self.events.append,
            self.exhausted.append,
        )
        groups = MemoryGroups(str(tmp_path) if tmp_path else "/nowhere")
        self.pressure = Pressure(
            OwnLimit(LIMIT, self.rss),
            groups,
            BUDGET,
            self,
            self.collect,
            lambda: self.time_ns,
            self.rss,
            listener,
            own,
        )

    def collect(self, generation: int) -> int:
        if self.during:
            self.during()
        if self.collector_busy:
            return -1
        self.runs.append(generation)
        self.time_ns += self.took_ns
        self.spent_ns += self.took_ns
        collected, self.garbage = self.garbage, 0
        return collected

    # The Protocol `Memory`:

    def rss(self) -> int:
        return self.live + self.garbage

    def watch(self, thresholds: Sequence[Threshold]) -> None:
        self.above = thresholds[0].above_bytes

    def over(self) -> bool:
        return self.rss() > self.above

    def trim(self) -> bool:
        self.trims += 1
        return self.can_trim

    def close(self) -> None: ...
    def after_fork(self) -> None: ...


class TestTheMode:
    def test_nothing_happens_up_to_the_limit(self) -> None:
        world = World()
        world.live = LIMIT
        assert not world.pressure.check()
        assert world.runs == []
        assert world.events == []

    def test_going_over_collects_every_generation_and_gives_memory_back(self) -> None:
        world = World()
        world.live, world.garbage = 950, 51
        assert world.pressure.check()
        assert world.runs == [0, 1, 2]
        assert world.trims == 1
        (event,) = world.events
        assert (event.used_before_bytes, event.used_after_bytes) == (1001, 950)
        assert event.collected_by_generation == (51, 0, 0)
        assert event.took_ns == 3 * world.took_ns
        assert event.limit_bytes == LIMIT
        (message,) = world.entered
        assert message == str(event)

    def test_is_entered_once_not_at_each_check(self) -> None:
        world = World()
        world.live = LIMIT + 1
        for _ in range(5):
            assert world.pressure.check()
        assert world.pressure.entries == len(world.entered) == 1
        assert world.runs == [0, 1, 2]

    def test_is_left_well_below_the_limit_only(self) -> None:
        world = World()
        world.live = LIMIT + 1
        world.pressure.check()
        world.live = int(LIMIT * LEAVE_AT) + 1
        assert world.pressure.check()
        world.live = int(LIMIT * LEAVE_AT)
        assert not world.pressure.check()
        world.live = LIMIT
        assert not world.pressure.check()
        world.live = LIMIT + 1
        assert world.pressure.check()
        assert world.pressure.entries == 2

    def test_light_collections_of_generation_0_within_it(self) -> None:
        world = World()
        world.live = LIMIT + 1
        world.pressure.check()
        world.live = LIMIT - 1
        for _ in range(29):
            world.time_ns += SECOND
            world.pressure.check()
        assert world.runs == [0, 1, 2, 0, 0, 0]

    def test_light_collections_keep_to_the_budget(self) -> None:
        world = World()
        world.live, world.took_ns = LIMIT + 1, 60 * SECOND
        world.pressure.check()
        world.live = LIMIT - 1
        for _ in range(100):
            world.pressure.check()
        assert world.runs == [0, 1, 2]
        world.time_ns += int(3 * world.took_ns / BUDGET)
        for _ in range(100):
            world.pressure.check()
        assert world.runs == [0, 1, 2, 0]

    def test_a_heap_that_is_full_is_not_collected_for_ever(self) -> None:
        world = World()
        world.live = LIMIT + 1
        for _ in range(3600 * 10):
            world.time_ns += SECOND // 10
            world.pressure.check()
        aggressive = world.runs.count(2)
        assert FRUITLESS <= aggressive < 70, "about one a minute"
        assert world.spent_ns < BUDGET * world.time_ns

    def test_a_heap_that_is_full_and_grows_is_collected_within_the_budget(self) -> None:
        world = World()
        world.live, world.took_ns = LIMIT + 1, SECOND
        for _ in range(3600):
            world.time_ns += SECOND
            world.live += LIMIT // 10
            world.pressure.check()
        assert world.runs.count(2) > 60
        assert world.spent_ns <= BUDGET * world.time_ns + 3 * SECOND, "the last is not paid for yet"

    def test_collections_that_help_may_take_half_of_the_time(self) -> None:
        world = World()
        world.live, world.took_ns = LIMIT // 2, SECOND
        highest = 0
        for _ in range(1000):
            world.time_ns += SECOND
            world.garbage += LIMIT // 5
            highest = max(highest, world.rss())
            world.pressure.check()
        assert highest < 2 * LIMIT
        assert world.spent_ns < 0.5 * world.time_ns
        assert world.exhausted == []

    def test_recycling_is_advised_when_collecting_does_not_help(self) -> None:
        world = World()
        world.live = LIMIT + 1
        while len(world.events) < FRUITLESS:
            assert world.exhausted == []
            world.time_ns += SECOND
            world.pressure.check()
        assert world.exhausted == [world.events[-1]]

    def test_recycling_is_advised_by_what_a_fresh_process_would_not_have(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gcctl._memory.pressure._said", set())
        own = 500  # the rest is what a fresh one would have too, such as files in the page cache
        world = World(own=lambda: own)
        world.live = LIMIT + 1

        def collect_often() -> None:
            for _ in range(20):
                world.time_ns += 1000 * SECOND
                world.pressure.check()

        collect_often()
        own += int(LIMIT * GROWN) - 1
        collect_often()
        assert len(world.events) > 2 * FRUITLESS
        assert not len(world.exhausted)
        assert caplog.text.count("nor would a fresh process") == 1
        own += 1
        collect_often()
        assert len(world.exhausted)
        assert world.pressure.grown_bytes == LIMIT * GROWN

    def test_growth_is_counted_from_the_least_that_collections_have_left(self) -> None:
        own = 500
        world = World(own=lambda: own)

        def free() -> None:
            nonlocal own
            own = 450

        world.live, world.during = LIMIT + 1, free
        world.pressure.check()
        own = 520
        assert world.pressure.grown_bytes == 70

    def test_a_forked_child_has_grown_by_nothing(self) -> None:
        own = 100
        world = World(own=lambda: own)
        world.pressure.check()
        own = 300
        in_parent = world.pressure.grown_bytes
        world.pressure.after_fork()
        assert (in_parent, world.pressure.grown_bytes) == (200, None)
        world.pressure.refresh_and_check()
        assert world.pressure.grown_bytes == 0

    def test_growth_that_collecting_can_free_is_collected_again(self) -> None:
        world = World()
        world.live, world.garbage = LIMIT - 50, 100
        for _ in range(20):
            world.time_ns += 10 * SECOND
            world.pressure.check()
            world.garbage = 100
        assert world.runs.count(2) > 5
        assert world.exhausted == []

    def test_a_finalizer_that_checks_gets_an_answer(self) -> None:
        world = World()
        answers = []
        world.live = LIMIT + 1
        world.during = lambda: answers.append(world.pressure.check())
        assert world.pressure.check()
        assert answers == [True] * 3

    def test_a_collector_that_is_busy_is_no_proof_that_collecting_does_not_help(self) -> None:
        world = World()
        world.live, world.collector_busy = LIMIT + 1, True
        for _ in range(100):
            world.time_ns += 100 * SECOND
            world.pressure.check()
        assert world.exhausted == []
        assert world.events[0].collected_by_generation == (0, 0, 0)

    def test_memory_that_can_no_longer_be_read_ends_it(self) -> None:
        world = World()
        world.live = LIMIT + 1
        world.pressure.check()
        world.live = 0  # what stands for "unknown"
        assert world.pressure.refresh_and_check(), "it may be a passing shortage of descriptors"
        assert not [world.pressure.refresh_and_check() for _ in range(UNKNOWN_CHECKS)][-1]

    def test_a_signal_that_raises_in_it_is_not_free_of_charge(self) -> None:
        class TimeoutSignal(Exception):
            pass

        def raise_timeout() -> None:
            raise TimeoutSignal

        world = World()
        world.live, world.took_ns = LIMIT + 1, SECOND
        for _ in range(100):
            world.time_ns += SECOND // 10
            world.during = raise_timeout if len(world.runs) % 3 == 2 else None
            with contextlib.suppress(TimeoutSignal):
                world.pressure.check()
        assert world.pressure.entries == len(world.entered) == 1
        assert world.runs.count(0) < 5

    @pytest.mark.parametrize("budget", [5e-324, 1.0])
    def test_any_budget_that_is_accepted(
        self, budget: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gcctl._memory.pressure._shortest_repeat_ns", lambda: 3600 * SECOND)
        with gcctl.install("off", automatic_gc=False, memory_limit=1, pressure_budget=budget):
            for _ in range(20):
                assert gcctl.check_memory()
            assert gcctl.stats().faults == 0
            assert gcctl.stats().collections_by_generation[2] == 1

    def test_what_one_listener_raises_is_not_kept_from_the_others(self) -> None:
        world = World()

        def broken(time_ns: int, message: str) -> None:
            raise ZeroDivisionError

        world.pressure._listener = world.pressure._listener._replace(high_memory=broken)
        world.live = LIMIT + 1
        with pytest.raises(ZeroDivisionError):
            world.pressure.check()
        assert len(world.events) == 1

    def test_no_way_to_give_memory_back_is_said_once(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gcctl._memory.pressure._said", set())
        world = World()
        world.live, world.can_trim = LIMIT + 1, False
        for _ in range(100):
            world.time_ns += 10 * SECOND
            world.pressure.check()
        assert world.trims > 1
        assert caplog.text.count("not given back") == 1

    def test_stalls_that_the_kernel_reports_lower_the_limit(self, tmp_path: Path) -> None:
        stalls = tmp_path / "pressure" / "memory"
        stalls.parent.mkdir()
        stalls.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
        world = World(tmp_path)
        world.live = int(LIMIT * ALERT_AT) + 1
        assert not world.pressure.check()
        stalls.write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=0\n")
        world.time_ns += SECOND
        assert world.pressure.check()
        assert world.pressure.stalled == 0.125
        stalls.unlink()
        world.time_ns += SECOND
        assert world.pressure.check(), "hysteresis"
        world.live = int(LIMIT * LEAVE_AT)
        assert not world.pressure.check()


class PressureRules(RuleBasedStateMachine):
    """Whatever memory does: hysteresis, one entry per crossing, and the share of time."""

    @initialize()
    def begin(self) -> None:
        self.world = World()

    @rule(live=st.integers(1, 2 * LIMIT), garbage=st.integers(0, LIMIT))
    def memory_changes(self, live: int, garbage: int) -> None:
        self.world.live, self.world.garbage = live, garbage

    @rule(step=st.integers(0, 100 * SECOND))
    def time_passes(self, step: int) -> None:
        self.world.time_ns += step

    @rule(took=st.integers(1, SECOND))
    def collections_take(self, took: int) -> None:
        assume(self.world.took_ns != took)
        self.world.took_ns = took

    @rule(refresh=st.booleans())
    def check(self, refresh: bool) -> None:
        world = self.world
        before, entries, used = world.pressure.high, world.pressure.entries, world.rss()
        high = world.pressure.refresh_and_check() if refresh else world.pressure.check()
        assert high is world.pressure.high
        entered = not before and used > LIMIT
        assert world.pressure.entries == entries + entered
        if used > LIMIT:
            assert high
        if used <= LIMIT * LEAVE_AT:
            assert not high

    @invariant()
    def collections_keep_to_their_share(self) -> None:
        if hasattr(self, "world"):
            owed = 3 * SECOND  # the last one may not have been paid for yet
            assert self.world.spent_ns <= 0.5 * self.world.time_ns + owed


TestPressureRules = PressureRules.TestCase
TestPressureRules.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def rss() -> int:
    return twins.memory.rss()


@pytest.mark.usefixtures("short_collections")
class TestThroughThePublicDoors:
    def test_without_a_limit_or_a_controller_it_is_false(self) -> None:
        assert gcctl.check_memory() is False
        gcctl.install("off")
        assert gcctl.check_memory() is False

    def test_check_memory_collects_what_only_a_collector_can_free(self) -> None:
        with gcctl.install("off", automatic_gc=False, memory_limit=rss() + 50 * MIB) as controller:
            assert gcctl.check_memory() is False
            hog(100)
            full = rss()
            assert gcctl.check_memory() is True
            assert gcctl.check_memory() is False, "it is well below the limit again"
            assert full - rss() > 80 * MIB
            stats = gcctl.stats()
            assert stats.high_memory_events == 1
            assert stats.collections_by_reason.pressure == 3
            (event,) = stats.memory_events
            assert event.rss_before_bytes - event.rss_after_bytes > 80 * MIB
            assert sum(event.collected_by_generation) >= 100
            (alert,) = (alert for alert in stats.alerts if alert.kind == "high_memory")
            assert "generations 0, 1 and 2" in alert.message
        assert controller.stats().high_memory_events == 1

    def test_boundaries_check_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gcctl._memory.pressure._shortest_repeat_ns", lambda: SECOND // 100)
        gcctl.install(
            "off",
            automatic_gc=False,
            memory_limit=rss() + 50 * MIB,
            check_interval="1ms",
            pressure_budget=1.0,
        )

        def high_after_a_boundary() -> bool:
            gcctl.tick()
            return gcctl.stats().high_memory

        kept = hog(100)
        wait_until(high_after_a_boundary)
        kept.clear()
        wait_until(lambda: not high_after_a_boundary())
        assert gcctl.stats().high_memory_events == 1

    def test_no_alert_but_the_same_deeds_without_monitoring(self) -> None:
        gcctl.install("off", memory_limit=1, monitoring=False)
        assert gcctl.check_memory()
        assert gcctl.stats().alerts == ()
        assert gcctl.stats().high_memory_events == 1

    def test_a_limit_below_what_is_used_is_taken_and_said(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gcctl.install("off", memory_limit="1MiB")
        assert "memory_limit is exceeded from the start: RSS" in caplog.text
        assert gcctl.check_memory()
        assert gcctl.check_memory()
        assert gcctl.stats().high_memory

    def test_a_limit_over_the_machines_memory_is_taken_and_said(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gcctl.install("off", memory_limit="4000TiB")
        assert "will never be reached: this machine has" in caplog.text
        assert not gcctl.check_memory()

    @pytest.mark.parametrize("limit", [0, -1, "0", "-5MB", "10XB", "150%", "0%", "", True, 0.8])
    def test_a_limit_that_is_none_is_refused(self, limit: Any) -> None:
        with pytest.raises(gcctl.ConfigError, match="memory_limit"):
            gcctl.install(memory_limit=limit)

    def test_an_error_inside_is_kept_from_the_caller(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        controller = gcctl.install("off", memory_limit=1)
        monkeypatch.setattr(controller._parts.pressure, "_respond", None)
        assert gcctl.check_memory() is False
        assert gcctl.check_memory() is False
        assert gcctl.stats().faults == 2
        assert caplog.text.count("TypeError: ") == 1

    def test_a_time_limit_that_strikes_inside_reaches_the_caller(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class TimeLimit(Exception):
            pass

        def strike(*unused: object) -> None:
            raise TimeLimit

        controller = gcctl.install("off", memory_limit=1)
        monkeypatch.setattr(
            controller._parts.pressure,
            "_collect",
            lambda generation: signal.raise_signal(signal.SIGTERM),
        )
        before = signal.signal(signal.SIGTERM, strike)
        try:
            with pytest.raises(TimeLimit):
                gcctl.check_memory()
        finally:
            signal.signal(signal.SIGTERM, before)
        assert gcctl.stats().faults == 0

    def test_uninstalling_closes_the_descriptors(self) -> None:
        if sys.platform != "linux":
            pytest.skip("counts in /proc")
        before = len(os.listdir("/proc/self/fd"))
        with gcctl.install("off", memory_limit="99%"):
            gcctl.check_memory()
        assert len(os.listdir("/proc/self/fd")) == before

    @linux
    def test_a_forked_child_looks_at_its_own_memory(self) -> None:
        gcctl.install("off", automatic_gc=False, memory_limit=rss() + 50 * MIB)
        kept = hog(100)
        assert gcctl.check_memory()

        def child() -> object:
            first = gcctl.stats().high_memory_events, gcctl.stats().high_memory
            kept.clear()
            gc.collect()
            freed = gcctl.check_memory()
            hog(100)
            return first, freed, gcctl.check_memory(), gcctl.stats().high_memory_events

        assert in_child(child) == "((0, False), False, True, 1)"
        assert gcctl.stats().high_memory_events == 1


JOIN = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
"""Before anything is allocated: what was before counts for the group that the process came from."""

WORKER = """
import gc, json, resource, sys
sys.path.insert(0, sys.argv[1])
from memory_hog import hog
import gcctl._memory.pressure
gcctl._memory.pressure.REFRESH_NS = 10**7  # limits are read more often
kept = []
for line in sys.stdin:
    word, *arguments = line.split()
    if word == "install":
        gcctl.install("off", automatic_gc=False, memory_limit=arguments[0])
    elif word == "take":
        kept += hog(int(arguments[0]))
    elif word == "descriptors":
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(arguments[0]), 4096))
    elif word == "free":
        kept.clear()
        gc.collect()
    high, stats = gcctl.check_memory(), gcctl.stats()
    answer = [high, stats.memory_limited, stats.memory_used_bytes, stats.memory_limit_bytes]
    print(json.dumps(answer), flush=True)
"""


class Worker:
    """A process in a group of its own choice, that takes and frees memory when it is told to."""

    def __init__(self, group: RealCgroup) -> None:
        join = ["sh", "-c", JOIN, str(group.directory)]
        self.process = subprocess.Popen(
            [*join, sys.executable, "-c", WORKER, str(SUPPORT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=SUPPORT,  # of a source tree it would import the sources
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *unused: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self, words: str) -> tuple[bool, str, int, int]:
        """In high-memory mode, what is limited, bytes used, the limit in bytes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        high, limited, used, limit = json.loads(self.process.stdout.readline())
        return high, limited, used, limit


@linux
class TestRealControlGroups:
    def test_a_share_of_a_limited_group(self) -> None:
        with real_cgroup(300 * MIB) as group, Worker(group) as worker:
            high, limited, _, limit = worker.tell("install 50%")
            assert (high, limited, limit) == (False, f"cgroup {group.directory}", 150 * MIB)
            high, _, used, _ = worker.tell("take 200")
            assert high
            assert used > 195 * MIB
            high, _, used, _ = worker.tell("free")
            assert not high
            assert used < 100 * MIB

    def test_four_workers_at_30_percent_are_over_the_limit_together(self) -> None:
        with real_cgroup(600 * MIB) as group, contextlib.ExitStack() as stack:
            workers = [stack.enter_context(Worker(group)) for _ in range(4)]
            for worker in workers:
                worker.tell("install 80%")
            for worker in workers[:3]:
                high, _, used, limit = worker.tell("take 115")
                assert not high, (used, limit)
            high, _, used, limit = workers[3].tell("take 115")
            assert high
            assert limit < used < 600 * MIB
            assert workers[0].tell("check")[0], "it is as much the business of the others"
            workers[1].tell("free")
            assert not workers[0].tell("check")[0]

    def test_the_tightest_of_the_chain_counts(self) -> None:
        with (
            real_cgroup(200 * MIB) as outer,
            real_cgroup(2000 * MIB, parent=outer) as inner,
            Worker(inner) as worker,
        ):
            worker.tell("install 50%")
            high, limited, _, limit = worker.tell("take 150")
            assert (high, limited, limit) == (True, f"cgroup {outer.directory}", 100 * MIB)

    def test_a_limit_that_changes_at_run_time(self) -> None:
        with real_cgroup(1000 * MIB) as group, Worker(group) as worker:
            worker.tell("install 50%")
            assert not worker.tell("take 100")[0]
            group.set_limit(150 * MIB)
            time.sleep(0.1)
            high, _, _, limit = worker.tell("check")
            assert (high, limit) == (True, 75 * MIB)

    def test_file_cache_is_not_counted(self, tmp_path: Path) -> None:
        with real_cgroup(300 * MIB) as group, Worker(group) as worker:
            worker.tell("install 50%")
            file = tmp_path / "large"
            read = f"dd if=/dev/zero of={file} bs=1M count=200 2>/dev/null; cat {file} >/dev/null"
            join = ["sh", "-c", JOIN, str(group.directory)]
            subprocess.run([*join, "sh", "-c", read], check=True)
            high, _, used, _ = worker.tell("check")
            assert not high, used

    def test_a_worker_that_reads_files_is_not_to_be_recycled(self, tmp_path: Path) -> None:
        """What was read twice is active file cache, which counts until the kernel takes it back."""
        with real_cgroup(300 * MIB) as group:
            file = tmp_path / "large"
            join = ["sh", "-c", JOIN, str(group.directory)]
            done = subprocess.run(
                [*join, sys.executable, "-c", READER, str(file)],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert done.returncode == 0, done.stderr
        high, fruitless, advice = done.stdout.splitlines()
        if high == "False":
            pytest.skip("this kernel does not count it")
        assert int(fruitless) >= FRUITLESS
        assert advice == "None"
        assert done.stderr.count("nor would a fresh process") == 1


READER = """
import sys, time
import gcctl
with open(sys.argv[1], "wb") as file:
    for _ in range(200):
        file.write(bytes(2**20))
gcctl.install("off", memory_limit="50%", pressure_budget=1.0, check_interval="1ms")
def read():
    with open(sys.argv[1], "rb") as file:
        while file.read(2**20):
            pass
for _ in range(4):
    read()
    high = gcctl.check_memory()
until = time.monotonic() + 30
while high and len(gcctl.stats().memory_events) < 5 and time.monotonic() < until:
    gcctl.tick()
    read()
    time.sleep(0.1)
print(high)
print(len(gcctl.stats().memory_events))
print(gcctl.stats().recycle_advice)
"""


@linux
def test_a_shortage_of_descriptors_is_not_taken_for_the_absence_of_limits() -> None:
    with real_cgroup(180 * MIB) as group, Worker(group) as worker:
        worker.tell("install 50%")
        assert worker.tell("take 120")[0]
        worker.tell("descriptors 0")
        time.sleep(0.1)
        assert worker.tell("check")[0]
        worker.tell("descriptors 1000")
        high, limited, _, _ = worker.tell("check")
        assert (high, limited) == (True, f"cgroup {group.directory}")


@linux
def test_proc_not_mounted() -> None:
    """A share cannot be watched then, which is said; everything else goes on."""
    script = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import gcctl
gcctl.install("production", memory_limit="80%", max_pause="1h")
for _ in range(1000):
    with gcctl.request():
        pass
print(gcctl.check_memory(), gcctl.stats().requests, gcctl.stats().faults)
gcctl.uninstall()
gcctl.install("production", memory_limit="80MiB", max_pause="1h")
print(gcctl.check_memory(), gcctl.stats().rss_bytes)
gcctl.uninstall()
"""
    shell = 'umount -l /proc && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell, sys.executable, script],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if "unshare" in done.stderr or "umount" in done.stderr:
        pytest.skip(f"/proc cannot be taken away here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "memory_limit cannot be watched" in lines[0]
    assert "False 1000 0" in lines
    assert lines[-1] == "False 0"


def test_the_log_says_what_was_collected(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gcctl")
    gcctl.install("off", memory_limit=1)
    gcctl.check_memory()
    assert "collected for memory pressure: RSS" in caplog.text
    assert "over the limit of 0.0 MiB" in caplog.text
