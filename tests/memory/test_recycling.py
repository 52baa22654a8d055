"""Advice to replace this worker: after so many requests, above so much memory, each its own."""

from __future__ import annotations

import _thread
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_hog import LITTLE
from processes import in_child, needs_fork, run_program, wait_until
from threads import in_threads, no_thread, switching_often

import gcctl
from gcctl._core.protocol import Core
from gcctl._lifecycle.installation import Installation
from gcctl._memory.recycling import Recycling

HOUR_NS = 3600 * 10**9


def install(**fields: Any) -> gcctl.Controller:
    fields.setdefault("recycle_jitter", 0)
    return gcctl.install("off", **fields)


def requests_until_advice(most: int) -> int:
    for number in range(most):
        if gcctl.should_recycle():
            return number
        gcctl.tick()
    assert gcctl.should_recycle()
    return most


class TestAfterRequests:
    @pytest.mark.parametrize("after", [1, 2, 5, 1000])
    def test_exactly_so_many_without_jitter(self, after: int) -> None:
        controller = install(recycle_after_requests=after)
        for _ in range(after - 1):
            with gcctl.request():
                pass
            assert not gcctl.should_recycle()
        assert controller.recycle_advice is None
        assert gcctl.stats().recycle_advice is None
        with gcctl.request():
            assert not gcctl.should_recycle()
        assert gcctl.should_recycle()
        advice = gcctl.stats().recycle_advice
        assert advice == gcctl.RecycleAdvice("requests", f"{after:,} requests served")
        assert controller.recycle_advice is advice

    def test_it_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        told: list[gcctl.RecycleAdvice] = []
        controller = install(recycle_after_requests=3)
        controller.on_recycle(told.append)
        for _ in range(20):
            gcctl.tick()
        gcctl.stats()
        gcctl.uninstall()
        assert told == [gcctl.RecycleAdvice("requests", "3 requests served")]
        (record,) = (r for r in caplog.records if "recycled" in r.getMessage())
        assert record.getMessage() == "this worker should be recycled: 3 requests served"
        assert record.levelno == logging.WARNING

    def test_failing_requests_count(self) -> None:
        install(recycle_after_requests=2)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), gcctl.request():
                raise ZeroDivisionError
        assert gcctl.should_recycle()

    def test_none_is_never(self) -> None:
        install()
        for _ in range(100):
            gcctl.tick()
        assert not gcctl.should_recycle()

    def test_without_monitoring_too(self) -> None:
        install(recycle_after_requests=1, monitoring=False)
        gcctl.tick()
        assert gcctl.should_recycle()

    def test_every_preset_gives_it(self) -> None:
        for policy in ("instagram", "production", "conservative", "off"):
            with gcctl.install(policy, recycle_after_requests=2, recycle_jitter=0):
                gcctl.tick()
                gcctl.tick()
                assert gcctl.should_recycle()

    def test_after_uninstall_there_is_none(self) -> None:
        controller = install(recycle_after_requests=1)
        gcctl.tick()
        assert gcctl.should_recycle()
        gcctl.uninstall()
        assert not gcctl.should_recycle()
        assert controller.stats().recycle_advice is not None, "the last statistics stay"
        install(recycle_after_requests=2)
        gcctl.tick()
        assert not gcctl.should_recycle()

    def test_never_without_install(self) -> None:
        gcctl.tick()
        assert not gcctl.should_recycle()


class TestJitter:
    @given(after=st.integers(1, 10**6), above=st.integers(1, 2**50), jitter=st.floats(0, 1))
    def test_thresholds_are_in_the_last_part_below(
        self, after: int, above: int, jitter: float
    ) -> None:
        recycling = Recycling(after, above, jitter)
        assert recycling.after_requests is not None
        assert recycling.above_bytes is not None
        assert max(after - after * jitter, 1) <= recycling.after_requests <= after
        assert max(above - above * jitter, 1) <= recycling.above_bytes <= above

    @given(after=st.integers(1, 2**63 - 1))
    def test_without_jitter_they_are_exact(self, after: int) -> None:
        recycling = Recycling(after, after, 0)
        assert (recycling.after_requests, recycling.above_bytes) == (after, after)

    def test_none_stays_none(self) -> None:
        recycling = Recycling(None, None, 1)
        assert (recycling.after_requests, recycling.above_bytes) == (None, None)

    def test_all_of_the_part_is_drawn_from(self) -> None:
        drawn = {Recycling(4, None, 0.5).after_requests for _ in range(500)}
        assert drawn == {2, 3, 4}
        drawn = {Recycling(3, None, 1).after_requests for _ in range(500)}
        assert drawn == {1, 2, 3}

    def test_the_largest_numbers_are_accepted(self) -> None:
        for jitter in (0, 0.1, 1):
            with gcctl.install(
                recycle_after_requests=10**9, recycle_above=2**63 - 1, recycle_jitter=jitter
            ):
                gcctl.tick()
                assert not gcctl.should_recycle()

    def test_each_installation_draws(self) -> None:
        counts = set()
        for _ in range(8):
            with install(recycle_after_requests=3000, recycle_jitter=1):
                counts.add(requests_until_advice(3000))
        assert len(counts) > 1
        assert counts <= set(range(1, 3001))


@needs_fork
class TestForkedWorkers:
    def test_each_draws_its_own(self) -> None:
        install(recycle_after_requests=3000, recycle_jitter=0.5)
        counts = [int(in_child(lambda: requests_until_advice(3000))) for _ in range(8)]
        assert len(set(counts)) > 1
        assert all(1500 <= count <= 3000 for count in counts)

    def test_counts_from_the_fork_on(self) -> None:
        install(recycle_after_requests=5)
        for _ in range(3):
            gcctl.tick()
        assert in_child(lambda: requests_until_advice(5)) == "5"
        assert requests_until_advice(5) == 2

    def test_advice_of_the_parent_is_not_the_childs(self) -> None:
        told: list[tuple[int, str]] = []
        controller = install(recycle_after_requests=2)
        controller.on_recycle(lambda advice: told.append((os.getpid(), advice.message)))
        gcctl.tick()
        gcctl.tick()
        wait_until(lambda: told)

        def child() -> object:
            first = gcctl.should_recycle(), controller.recycle_advice
            count = requests_until_advice(2)
            gcctl.uninstall()
            return first, count, [message for pid, message in told if pid == os.getpid()]

        assert in_child(child) == "((False, None), 2, ['2 requests served'])"
        assert gcctl.should_recycle()
        assert len(told) == 1


class TestAboveMemory:
    def test_of_this_process_told_by_stats(self, caplog: pytest.LogCaptureFixture) -> None:
        install(recycle_above=LITTLE)
        assert not gcctl.should_recycle()
        advice = gcctl.stats().recycle_advice
        assert advice is not None
        assert advice.reason == "rss"
        assert advice.message.startswith("RSS ")
        assert advice.message.endswith(", over 1.0 MiB")
        assert gcctl.should_recycle()
        assert "this worker should be recycled: RSS " in caplog.text

    @pytest.mark.parametrize("monitoring", [True, False])
    def test_of_this_process_found_at_a_boundary(self, monitoring: bool) -> None:
        install(recycle_above=LITTLE, check_interval="1ms", monitoring=monitoring)

        def at_a_boundary() -> bool:
            gcctl.tick()
            return gcctl.should_recycle()

        wait_until(at_a_boundary)

    def test_not_below(self) -> None:
        install(recycle_above=2**60)
        assert gcctl.stats().recycle_advice is None

    def test_the_first_advice_stays(self, caplog: pytest.LogCaptureFixture) -> None:
        install(recycle_above=LITTLE, recycle_after_requests=1)
        first = gcctl.stats().recycle_advice
        for _ in range(3):
            gcctl.tick()
        assert gcctl.stats().recycle_advice is first
        assert caplog.text.count("should be recycled") == 1

    def test_a_worker_that_shrinks_stays_advised(self, tmp_path: Path) -> None:
        out = run_program(
            """
            import gcctl
            gcctl.install("off", recycle_above="150MiB", recycle_jitter=0)
            print(gcctl.stats().recycle_advice)
            large = bytearray(200 * 2**20)
            for position in range(0, len(large), 4096):
                large[position] = 1
            print(gcctl.stats().recycle_advice.reason)
            del large
            print(gcctl.stats().recycle_advice.reason, gcctl.should_recycle())
            """,
            tmp_path,
        )
        assert out == "None\nrss\nrss True\n"

    @pytest.mark.usefixtures("short_collections")
    def test_when_collecting_does_not_get_it_below_the_limit(self, core_class: type[Core]) -> None:
        now_ns = 10**15
        config = gcctl.Config(policy="off", memory_limit=LITTLE, pressure_budget=1.0)
        core = core_class(clock=lambda: now_ns)
        installation = Installation(config, "here", lambda _: None, core=core)
        controller = installation.controller
        controller.installed = True
        installation.start()
        try:
            checks = 0
            assert controller.check_memory()
            leaked = bytearray(b"x") * 8 * 2**20
            while controller.recycle_advice is None:
                assert controller.check_memory()
                checks += 1
                assert checks < 100
                now_ns += HOUR_NS
        finally:
            installation.restore()
        assert checks > 1, "once could be bad luck"
        advice = controller.recycle_advice
        assert advice.reason == "memory_limit"
        assert advice.message.startswith("collecting does not help: RSS ")
        assert advice.message.endswith(" MiB less")
        del leaked

    @pytest.mark.usefixtures("short_collections")
    def test_not_where_a_fresh_worker_would_be_over_the_limit_too(
        self, core_class: type[Core]
    ) -> None:
        now_ns = 10**15
        config = gcctl.Config(policy="off", memory_limit=LITTLE, pressure_budget=1.0)
        core = core_class(clock=lambda: now_ns)
        installation = Installation(config, "here", lambda _: None, core=core)
        controller = installation.controller
        controller.installed = True
        installation.start()
        try:
            for _ in range(20):
                assert controller.check_memory()
                now_ns += HOUR_NS
        finally:
            installation.restore()
        assert controller.recycle_advice is None

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell them apart")
    def test_mapped_files_do_not_count(self, tmp_path: Path) -> None:
        """A fresh worker maps them again."""
        out = run_program(
            """
            import mmap
            import gcctl
            gcctl.install("off", recycle_above="150MiB", recycle_jitter=0)
            with open("large", "w+b") as file:
                for _ in range(200):
                    file.write(b"x" * 2**20)
                file.flush()
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            for position in range(0, len(mapped), 4096):
                mapped[position]
            stats = gcctl.stats()
            print(stats.rss_bytes > 200 * 2**20, stats.recycle_advice)
            """,
            tmp_path,
        )
        assert out == "True None\n"

    def test_a_threshold_below_what_a_fresh_worker_has_is_said(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        install(recycle_above=LITTLE)
        assert caplog.text.count("recycle_above is exceeded from the start (RSS ") == 1
        assert "over 1.0 MiB): each fresh worker will be advised to be recycled too" in caplog.text
        gcctl.uninstall()
        caplog.clear()
        install(recycle_above=2**60)
        assert not caplog.records


class TestCallbacks:
    def test_each_is_told_once_also_where_it_comes_late(self) -> None:
        early: list[str] = []
        late: list[str] = []
        controller = install(recycle_after_requests=1)
        controller.on_recycle(lambda advice: early.append(advice.reason))
        gcctl.tick()
        wait_until(lambda: early)
        controller.on_recycle(lambda advice: late.append(advice.reason))
        gcctl.uninstall()
        assert (early, late) == (["requests"], ["requests"])

    def test_one_that_comes_as_the_advice_does_is_told_once(self) -> None:
        with switching_often():
            for _ in range(50):
                told: list[str] = []
                recycling = Recycling(None, None, 0)
                barrier = threading.Barrier(3)

                def advise(recycling: Recycling = recycling, barrier: Any = barrier) -> None:
                    barrier.wait()
                    recycling.advise("rss", "large")

                threads = [threading.Thread(target=advise) for _ in range(2)]
                for thread in threads:
                    thread.start()
                barrier.wait()
                recycling.add_callback(lambda advice, told=told: told.append(advice.reason))  # type: ignore[misc]
                for thread in threads:
                    thread.join()
                recycling.finish(60)
                assert told == ["rss"]

    def test_advice_of_many_threads_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        recyclings = [Recycling(None, None, 0) for _ in range(50)]
        barrier = threading.Barrier(4)

        def work() -> None:
            for recycling in recyclings:
                barrier.wait()
                recycling.advise("rss", "large")

        in_threads(work)
        assert caplog.text.count("should be recycled") == 50

    def test_one_that_fails_or_uninstalls(self, caplog: pytest.LogCaptureFixture) -> None:
        controller = install(recycle_after_requests=1)

        @controller.on_recycle
        def broken(advice: gcctl.RecycleAdvice) -> None:
            raise SystemExit

        controller.on_recycle(lambda advice: gcctl.uninstall())
        gcctl.tick()
        wait_until(lambda: not controller.installed)
        assert "a callback for advice to recycle failed" in caplog.text
        assert controller.stats().recycle_advice is not None

    def test_one_that_blocks_holds_up_nobody_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gcctl._lifecycle.installation.CALLBACK_SECONDS", 0.05)
        leave = threading.Event()
        told: list[str] = []
        controller = install(recycle_after_requests=1, memory_limit=LITTLE)
        controller.on_recycle(lambda advice: leave.wait())
        controller.on_alert(lambda alert: told.append(alert.kind))
        gcctl.tick()
        gcctl.check_memory()
        wait_until(lambda: told)
        gcctl.tick()
        assert gcctl.stats().requests == 2
        gcctl.uninstall()
        leave.set()


def test_advice_that_no_thread_could_tell_is_told_at_a_later_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[gcctl.RecycleAdvice] = []
    controller = gcctl.install("off", recycle_after_requests=1, recycle_jitter=0)
    controller.on_recycle(told.append)
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_thread)
        gcctl.tick()
    assert gcctl.should_recycle()
    assert not told
    gcctl.stats()
    wait_until(lambda: told)
    assert gcctl.stats().faults == 0
