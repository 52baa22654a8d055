"""Alerts: what raises one, how often it is told, and the callbacks that are told of it."""

from __future__ import annotations

import _thread
import gc
import itertools
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_hog import LITTLE
from processes import in_child, needs_fork, run_program, wait_until
from threads import in_threads, no_thread

import gcctl
from gcctl._base.callbacks import ROOM, CallbackThread
from gcctl._monitor.alerts import KEPT, LONGEST_NS, SHORTEST_NS, AlertKind, Alerts

NS_PER_S = 10**9

KINDS: tuple[AlertKind, ...] = (
    "long_gc_pause",
    "high_memory",
    "gc_frequency",
    "gc_settings_changed",
)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nobody but the test collects."""
    gc.disable()
    yield
    gcctl.uninstall()
    gc.enable()


def kinds(stats: gcctl.Stats) -> list[str]:
    return [alert.kind for alert in stats.alerts]


@pytest.mark.usefixtures("quiet")
class TestLongPause:
    def test_at_a_boundary_that_collects(self, caplog: pytest.LogCaptureFixture) -> None:
        gcctl.install("off", gen0_every=2, max_pause=1e-9)
        gcctl.tick()
        assert caplog.text == ""
        gcctl.tick()
        assert "a request boundary paused" in caplog.text
        (alert,) = gcctl.stats().alerts
        assert alert.kind == "long_gc_pause"
        assert "over max_pause" in alert.message

    def test_of_others_is_told_at_the_next_boundary(self, caplog: pytest.LogCaptureFixture) -> None:
        gcctl.install("off", max_pause=1e-9)
        gc.collect(1)
        assert caplog.text == ""
        gcctl.tick()
        assert "the process paused" in caplog.text
        assert "generation 1 collected" in caplog.text

    def test_of_others_is_told_at_the_end_of_a_request(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gcctl.install("off", max_pause=1e-9)
        with gcctl.request():
            gc.collect(1)
        assert "(explicit, 1 requests in flight)" in caplog.text

    def test_of_others_is_told_by_stats(self) -> None:
        gcctl.install("off", max_pause=1e-9)
        gc.collect(1)
        assert kinds(gcctl.stats()) == ["long_gc_pause"]

    def test_of_others_is_told_at_the_end(self, caplog: pytest.LogCaptureFixture) -> None:
        controller = gcctl.install("off", max_pause=1e-9)
        told: list[gcctl.Alert] = []
        controller.on_alert(told.append)
        gc.collect(1)
        gcctl.uninstall()
        assert kinds(controller.stats()) == ["long_gc_pause"]
        assert told == list(controller.stats().alerts)
        assert "the process paused" in caplog.text

    def test_none_within_what_is_allowed(self) -> None:
        gcctl.install("off", gen0_every=1, max_pause="1h")
        gcctl.tick()
        gc.collect()
        assert gcctl.stats().alerts == ()


@pytest.mark.usefixtures("quiet")
class TestFrequency:
    @pytest.mark.parametrize("generation", [1, 2])
    def test_more_than_allowed(self, generation: int, caplog: pytest.LogCaptureFixture) -> None:
        gcctl.install("off", max_collections_per_minute=3, max_pause="1h")
        for _ in range(4):
            gc.collect(generation)
        (alert,) = gcctl.stats().alerts
        assert alert.kind == "gc_frequency"
        assert "4 collections of generations 1 and 2 in the last minute" in alert.message
        assert "over max_collections_per_minute 3" in alert.message
        assert alert.message in caplog.text

    def test_young_ones_do_not_count(self) -> None:
        gcctl.install("off", max_collections_per_minute=3, max_pause="1h", gen0_every=1)
        for _ in range(50):
            gc.collect(0)
            gcctl.tick()
        for _ in range(3):
            gc.collect(1)
        assert gcctl.stats().last_minute.collections_by_generation == (100, 3, 0)
        assert gcctl.stats().alerts == ()

    def test_own_ones_count(self) -> None:
        gcctl.install(
            "off", max_collections_per_minute=3, max_pause="1h", gen1_every=1, check_interval="1h"
        )
        for _ in range(4):
            gcctl.tick()
        assert kinds(gcctl.stats()) == ["gc_frequency"]

    def test_none_is_never(self) -> None:
        gcctl.install("off", max_collections_per_minute=None, max_pause="1h")
        for _ in range(200):
            gc.collect(1)
        assert gcctl.stats().alerts == ()


class TestHighMemory:
    def test_entering_the_mode(self, caplog: pytest.LogCaptureFixture) -> None:
        gcctl.install("off", memory_limit=LITTLE, max_pause="1h")
        assert gcctl.check_memory()
        assert gcctl.check_memory()
        stats = gcctl.stats()
        assert kinds(stats) == ["high_memory"]
        assert stats.alert_counts.high_memory == 1
        assert "over the limit of 1.0 MiB" in stats.alerts[0].message
        assert stats.alerts[0].message in caplog.text

    def test_none_below_the_limit(self) -> None:
        gcctl.install("off", memory_limit=2**60, max_pause="1h")
        assert not gcctl.check_memory()
        assert gcctl.stats().alerts == ()


class TestAll:
    def test_none_without_monitoring(self, caplog: pytest.LogCaptureFixture) -> None:
        controller = gcctl.install(
            "off",
            monitoring=False,
            max_pause=1e-9,
            memory_limit=LITTLE,
            max_collections_per_minute=1,
            gen0_every=1,
        )
        told: list[gcctl.Alert] = []
        controller.on_alert(told.append)
        gc.set_threshold(*gc.get_threshold())
        gc.disable()
        for _ in range(3):
            gc.collect(1)
            gcctl.tick()
        gc.enable()
        assert gcctl.check_memory()
        stats = gcctl.stats()
        assert stats.alerts == ()
        assert stats.alert_counts == gcctl.AlertCounts()
        gcctl.uninstall()
        assert told == []
        assert "paused" not in caplog.text

    @pytest.mark.usefixtures("quiet")
    def test_further_ones_are_counted_and_not_told(self, caplog: pytest.LogCaptureFixture) -> None:
        gcctl.install("off", max_pause=1e-9)
        for number in range(1, 6):
            gc.collect(0)
            stats = gcctl.stats()
            assert stats.alert_counts == gcctl.AlertCounts(long_gc_pause=number)
            assert len(stats.alerts) == 1
        assert len(caplog.records) == 1

    @pytest.mark.usefixtures("quiet")
    def test_each_kind_for_itself(self) -> None:
        controller = gcctl.install("off", max_pause="1h", memory_limit=LITTLE)
        cause_alerts(controller)
        assert kinds(gcctl.stats()) == ["high_memory", "gc_settings_changed"]

    @pytest.mark.usefixtures("quiet")
    def test_a_new_controller_begins_anew(self) -> None:
        for _ in range(2):
            gcctl.install("off", max_pause=1e-9)
            gc.collect(0)
            assert kinds(gcctl.stats()) == ["long_gc_pause"]
            gcctl.uninstall()


def alerts_at(times: list[int], kind: AlertKind = "high_memory") -> Alerts:
    alerts = Alerts()
    for time_ns in times:
        alerts.add(kind, time_ns, "trouble")
    return alerts


def told_at(times: list[int]) -> list[int]:
    """Which of these alerts were told of. No more than are kept."""
    return [alert.time_ns for alert in alerts_at(times).kept]


GAPS = st.integers(0, 3 * LONGEST_NS) | st.integers(0, 3 * SHORTEST_NS) | st.integers(0, NS_PER_S)


class TestRateLimit:
    def test_an_hour_of_trouble_is_told_six_times(self) -> None:
        times = [second * NS_PER_S for second in range(3600)]
        minutes = [time_ns / SHORTEST_NS for time_ns in told_at(times)]
        assert minutes == [0, 1, 3, 7, 15, 31]

    def test_a_day_of_trouble_is_told_every_hour(self) -> None:
        told = told_at([second * 10 * NS_PER_S for second in range(8640)])
        gaps = [after - before for before, after in itertools.pairwise(told)]
        assert gaps[:6] == [minutes * SHORTEST_NS for minutes in (1, 2, 4, 8, 16, 32)]
        assert set(gaps[6:]) == {LONGEST_NS}

    def test_after_a_quiet_time_it_is_told_as_at_first(self) -> None:
        trouble = [second * NS_PER_S for second in range(7200)]
        later = trouble[-1] + 2 * LONGEST_NS
        again = [later + time_ns for time_ns in trouble[:3600]]
        minutes = [(time_ns - later) / SHORTEST_NS for time_ns in told_at(trouble + again)]
        assert minutes[-6:] == [0, 1, 3, 7, 15, 31]

    @given(st.lists(GAPS, max_size=60))
    def test_those_of_a_kind_are_a_minute_apart_and_none_is_lost(self, gaps: list[int]) -> None:
        times = [sum(gaps[: number + 1]) for number in range(len(gaps))]
        alerts = Alerts()
        told: list[gcctl.Alert] = []
        for number, time_ns in enumerate(times, start=1):
            before = alerts.kept
            alerts.add("gc_frequency", time_ns, "trouble")
            assert alerts.counts == gcctl.AlertCounts(gc_frequency=number)
            if alerts.kept != before:
                told.append(alerts.kept[-1])
                assert sum(alert.suppressed + 1 for alert in told) == number
        assert [alert.time_ns for alert in told[:1]] == times[:1], "the first at once"
        for one, after in itertools.pairwise(told):
            assert after.time_ns - one.time_ns >= SHORTEST_NS
        for alert in told:
            said = f" (and {alert.suppressed:,} more of this kind before it)"
            assert alert.message == "trouble" + (said if alert.suppressed else "")
        assert alerts.kept == tuple(told[-KEPT:])

    @given(st.lists(st.tuples(st.sampled_from(KINDS), GAPS), max_size=60))
    def test_kinds_do_not_limit_each_other(self, steps: list[tuple[AlertKind, int]]) -> None:
        mixed, time_ns = Alerts(), 0
        apart = {kind: Alerts() for kind in KINDS}
        for kind, gap in steps:
            time_ns += gap
            mixed.add(kind, time_ns, "trouble")
            apart[kind].add(kind, time_ns, "trouble")
        for kind in KINDS:
            assert getattr(mixed.counts, kind) == sum(1 for step in steps if step[0] == kind)
            assert [a for a in mixed.kept if a.kind == kind] == list(apart[kind].kept)[
                -len([a for a in mixed.kept if a.kind == kind]) or KEPT :
            ]

    @given(st.lists(st.integers(0, 3 * LONGEST_NS), max_size=30))
    def test_also_where_times_are_out_of_order(self, times: list[int]) -> None:
        """The time of a pause is that of its beginning, and others may have been told since."""
        told = told_at(times)
        for before, after in itertools.pairwise(told):
            assert after - before >= SHORTEST_NS

    def test_the_last_ones_are_kept(self) -> None:
        times = [number * 3 * LONGEST_NS for number in range(KEPT + 8)]
        assert told_at(times) == times[8:]

    def test_exact_also_when_threads_alert_at_once(self) -> None:
        alerts = Alerts()

        def work() -> None:
            for _ in range(2000):
                alerts.add("high_memory", 5, "trouble")

        in_threads(work)
        assert alerts.counts.high_memory == 4 * 2000
        assert [alert.suppressed for alert in alerts.kept] == [0]
        alerts.add("high_memory", 5 + SHORTEST_NS, "trouble")
        assert alerts.kept[-1].suppressed == 4 * 2000 - 1


def cause_alerts(controller: gcctl.Controller) -> None:
    """One for high memory, one for a setting."""

    def settings_changed() -> int:
        return controller.stats().alert_counts.gc_settings_changed

    controller.check_memory()
    before = settings_changed()
    gc.set_debug(gc.get_debug() ^ gc.DEBUG_UNCOLLECTABLE)
    # Who looks while another thread looks, a callback say, or collects, finds it the next time.
    wait_until(lambda: settings_changed() > before)
    gc.set_debug(gc.get_debug() ^ gc.DEBUG_UNCOLLECTABLE)


BOTH = ["high_memory", "gc_settings_changed"]


@pytest.fixture
def controller() -> gcctl.Controller:
    return gcctl.install("off", max_pause="1h", memory_limit=LITTLE)


class TestCallbacks:
    def test_are_told_each_alert_that_is_kept(self, controller: gcctl.Controller) -> None:
        told: list[gcctl.Alert] = []
        controller.on_alert(told.append)
        cause_alerts(controller)
        gcctl.uninstall()
        assert [alert.kind for alert in told] == BOTH
        assert told == list(controller.stats().alerts)

    def test_are_decorated(self, controller: gcctl.Controller) -> None:
        def alerted(alert: gcctl.Alert) -> None: ...

        def recycled(advice: gcctl.RecycleAdvice) -> None: ...

        assert controller.on_alert(alerted) is alerted
        assert controller.on_recycle(recycled) is recycled

    @pytest.mark.parametrize("callback", [None, 3, "print"])
    def test_must_be_callable(self, callback: Any, controller: gcctl.Controller) -> None:
        with pytest.raises(TypeError, match=f"a callback for alerts .* not {callback!r}"):
            controller.on_alert(callback)
        with pytest.raises(TypeError, match=f"a callback for advice .* not {callback!r}"):
            controller.on_recycle(callback)
        cause_alerts(controller)
        assert gcctl.stats().faults == 0

    def test_are_not_called_in_the_thread_that_has_something_to_say(
        self, controller: gcctl.Controller
    ) -> None:
        threads: list[int] = []
        controller.on_alert(lambda alert: threads.append(threading.get_ident()))
        cause_alerts(controller)
        gcctl.uninstall()
        assert len(threads) == 2
        assert threading.get_ident() not in threads

    def test_registered_twice_are_called_twice(self, controller: gcctl.Controller) -> None:
        told: list[str] = []

        def callback(alert: gcctl.Alert) -> None:
            told.append(alert.kind)

        controller.on_alert(callback)
        controller.on_alert(callback)
        controller.check_memory()
        gcctl.uninstall()
        assert told == ["high_memory"] * 2

    def test_registered_late_are_told_of_what_comes(self, controller: gcctl.Controller) -> None:
        first: list[str] = []
        second: list[str] = []
        controller.on_alert(lambda alert: first.append(alert.kind))
        controller.check_memory()
        wait_until(lambda: first)
        controller.on_alert(lambda alert: second.append(alert.kind))
        cause_alerts(controller)
        gcctl.uninstall()
        assert (first, second) == (BOTH, BOTH[1:])

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, BaseException])
    def test_that_raise_are_logged_and_called_again(
        self,
        error: type[BaseException],
        controller: gcctl.Controller,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        before: list[str] = []
        after: list[str] = []

        @controller.on_alert
        def broken(alert: gcctl.Alert) -> None:
            before.append(alert.kind)
            raise error("broken")

        controller.on_alert(lambda alert: after.append(alert.kind))
        cause_alerts(controller)
        gcctl.uninstall()
        assert (before, after) == (BOTH, BOTH)
        assert caplog.text.count("a callback for alerts failed") == 2
        assert caplog.text.count(f"{error.__name__}: broken") == 2
        assert controller.stats().faults == 0

    def test_that_raise_into_broken_logging_are_called_again(
        self, controller: gcctl.Controller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []

        @controller.on_alert
        def broken(alert: gcctl.Alert) -> None:
            told.append(alert.kind)
            raise ValueError

        def leave(*args: object, **kwargs: object) -> None:
            raise SystemExit

        monkeypatch.setattr(logging.Logger, "exception", leave)
        cause_alerts(controller)
        wait_until(lambda: told == BOTH)

    def test_that_block_hold_up_nobody_else(
        self,
        controller: gcctl.Controller,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        threads = _thread._count()
        inside, leave = threading.Event(), threading.Event()
        recycled: list[str] = []

        @controller.on_alert
        def blocking(alert: gcctl.Alert) -> None:
            inside.set()
            leave.wait()

        controller.on_recycle(lambda advice: recycled.append(advice.reason))
        controller.check_memory()
        inside.wait()
        cause_alerts(controller)
        for _ in range(100):
            with gcctl.request():
                pass
        assert gcctl.stats().requests == 100
        with monkeypatch.context() as patch:
            patch.setattr("gcctl._lifecycle.installation.CALLBACK_SECONDS", 0.05)
            gcctl.uninstall()
        assert not controller.installed
        assert "callbacks for alerts: 1 not delivered yet, 0 dropped" in caplog.text
        with gcctl.install("off", max_pause="1h", memory_limit=LITTLE) as another:
            told: list[gcctl.Alert] = []
            another.on_alert(told.append)
            another.check_memory()
        assert len(told) == 1
        leave.set()
        wait_until(lambda: _thread._count() == threads)

    def test_that_install_get_an_error(
        self, controller: gcctl.Controller, caplog: pytest.LogCaptureFixture
    ) -> None:
        controller.on_alert(lambda alert: alert.kind == "high_memory" and gcctl.install())
        controller.check_memory()
        wait_until(lambda: "a callback for alerts failed" in caplog.text)
        assert "GcctlError: gcctl is already installed" in caplog.text
        assert gcctl.stats().policy == "off"

    def test_that_uninstall(self, controller: gcctl.Controller) -> None:
        told: list[str] = []

        @controller.on_alert
        def leaving(alert: gcctl.Alert) -> None:
            gcctl.uninstall()
            told.append(alert.kind)

        controller.check_memory()
        wait_until(lambda: told)
        assert not controller.installed
        assert gcctl.stats() == gcctl.Stats()

    def test_that_uninstall_and_install_anew(self, controller: gcctl.Controller) -> None:
        @controller.on_alert
        def reloading(alert: gcctl.Alert) -> None:
            if alert.kind == "high_memory":  # once
                gcctl.uninstall()
                gcctl.install("instagram")

        controller.check_memory()
        wait_until(lambda: gcctl.stats().policy == "instagram")
        gcctl.uninstall()
        assert gc.isenabled()

    def test_that_look_at_statistics_and_serve_requests(self, controller: gcctl.Controller) -> None:
        seen: list[int] = []

        @controller.on_alert
        def curious(alert: gcctl.Alert) -> None:
            with gcctl.request():
                seen.append(gcctl.stats().in_flight)

        cause_alerts(controller)
        wait_until(lambda: seen == [1, 1])

    def test_that_log(self, controller: gcctl.Controller, caplog: pytest.LogCaptureFixture) -> None:
        controller.on_alert(lambda alert: logging.getLogger("gcctl").warning("said %s", alert.kind))
        controller.check_memory()
        gcctl.uninstall()
        assert "said high_memory" in caplog.text

    def test_no_thread_is_left_when_all_is_told(self, controller: gcctl.Controller) -> None:
        before = _thread._count()
        told: list[gcctl.Alert] = []
        controller.on_alert(told.append)
        for number, kind in enumerate(BOTH, start=1):
            cause_alerts(controller) if kind != "high_memory" else controller.check_memory()
            wait_until(lambda number=number: len(told) == number)  # type: ignore[misc]
            wait_until(lambda: _thread._count() == before)

    def test_no_thread_without_a_callback(self, controller: gcctl.Controller) -> None:
        before = _thread._count()
        cause_alerts(controller)
        assert _thread._count() == before

    def test_alerts_are_logged_where_no_thread_can_be_had_and_told_later(
        self,
        controller: gcctl.Controller,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        told: list[str] = []
        controller.on_alert(lambda alert: told.append(alert.kind))
        with monkeypatch.context() as patch:
            patch.setattr(_thread, "start_new_thread", no_thread)
            controller.check_memory()
        assert "over the limit of" in caplog.text
        assert told == []
        assert gcctl.stats().faults == 0
        gcctl.uninstall()
        assert told == ["high_memory"]

    def test_those_of_the_end_of_the_process(self, tmp_path: Path) -> None:
        """In some versions no thread can be started there: then the log has to do."""
        out = run_program(
            """
            import _thread, atexit, gc, logging, sys, time

            def try_a_thread():
                try:
                    _thread.start_new_thread(time.sleep, (0,))
                except RuntimeError:
                    print("impossible")
                else:
                    print("possible")

            atexit.register(try_a_thread)
            import gcctl._lifecycle.installation
            gcctl._lifecycle.installation.CALLBACK_SECONDS = 60
            logging.basicConfig(stream=sys.stdout, format="%(levelname)s")
            gc.disable()
            controller = gcctl.install("off", max_pause=1e-9)
            controller.on_alert(lambda alert: print("told"))
            gc.collect(1)
            """,
            tmp_path,
        )
        # Where it was not told, a second line is logged that says so.
        assert sorted(out.split()) in (
            ["WARNING", "possible", "told"],
            ["WARNING", "WARNING", "impossible"],
        )


@needs_fork
class TestCallbacksAndForks:
    def test_a_child_has_its_own_news(self, controller: gcctl.Controller) -> None:
        told: list[str] = []
        controller.on_alert(lambda alert: told.append(alert.kind))
        controller.check_memory()
        wait_until(lambda: told)

        def child() -> object:
            cause_alerts(controller)
            counts = gcctl.stats().alert_counts
            gcctl.uninstall()
            return told, tuple(counts)

        assert in_child(child) == repr((["high_memory", *BOTH], (0, 1, 0, 2)))
        assert told == ["high_memory"]

    def test_a_child_forked_while_a_callback_blocks_can_go_on(
        self, controller: gcctl.Controller
    ) -> None:
        inside, leave = threading.Event(), threading.Event()
        told: list[str] = []

        @controller.on_alert
        def blocking(alert: gcctl.Alert) -> None:
            told.append(alert.kind)
            inside.set()
            if os.getpid() == parent:
                leave.wait()

        parent = os.getpid()
        controller.check_memory()
        inside.wait()
        cause_alerts(controller)  # one waits

        def child() -> object:
            del told[:]
            cause_alerts(controller)
            gcctl.uninstall()
            return told

        assert in_child(child) == repr(BOTH)
        leave.set()
        wait_until(lambda: told == BOTH)

    def test_that_fork(self, tmp_path: Path) -> None:
        """The child of a callback is told nothing more of its parent's."""
        out = run_program(
            """
            import os, gcctl._lifecycle.installation
            gcctl._lifecycle.installation.CALLBACK_SECONDS = 60
            controller = gcctl.install("off", max_pause="1h", memory_limit=2**20)
            parent, statuses = os.getpid(), []

            @controller.on_alert
            def forking(alert):
                pid = os.fork()
                if pid:
                    statuses.append(os.waitpid(pid, 0)[1])

            @controller.on_alert
            def next_one(alert):
                print(alert.kind, os.getpid() == parent, flush=True)

            controller.check_memory()
            gcctl.uninstall()
            print(statuses, flush=True)
            """,
            tmp_path,
        )
        assert out == "high_memory True\n[0]\n"

    def test_that_fork_and_exit(self, controller: gcctl.Controller) -> None:
        answers: list[str] = []
        told = threading.Event()  # and logged: the log of another thread may be locked in the child

        @controller.on_alert
        def forking(alert: gcctl.Alert) -> None:
            told.wait()
            answers.append(in_child(lambda: gcctl.stats().policy))

        cause_alerts(controller)
        told.set()
        wait_until(lambda: answers == ["'off'"] * 2)


class TestDelivery:
    """What more messages at once do than there can be alerts in a test."""

    def test_the_oldest_of_too_many_are_dropped_and_counted(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        inside, leave = threading.Event(), threading.Event()
        told: list[int] = []

        def blocking(number: int) -> None:
            told.append(number)
            inside.set()
            leave.wait()

        delivery: CallbackThread[int] = CallbackThread("numbers")
        delivery.add(blocking)
        delivery.send(0)
        inside.wait()
        for number in range(1, ROOM + 11):
            delivery.send(number)
        assert delivery.dropped == 10
        leave.set()
        delivery.finish(60)
        assert told == [0, *range(11, ROOM + 11)]
        assert "callbacks for numbers: 0 not delivered yet, 10 dropped" in caplog.text

    def test_nothing_waits_where_nobody_listens(self) -> None:
        told: list[int] = []
        delivery: CallbackThread[int] = CallbackThread("numbers")
        for number in range(ROOM + 1):
            delivery.send(number)
        delivery.add(told.append)
        delivery.send(-1)
        delivery.finish(60)
        assert told == [-1]
        assert delivery.dropped == 0

    def test_all_is_told_in_order_however_the_threads_meet(self) -> None:
        before = _thread._count()
        told: list[tuple[int, int]] = []
        delivery: CallbackThread[tuple[int, int]] = CallbackThread("numbers")
        delivery.add(told.append)
        names = itertools.count()  # the identity of a thread that has ended may be another one's

        def work() -> None:
            me = next(names)
            for number in range(300):
                delivery.send((me, number))
                if number % 10 == 0:
                    delivery.finish(60)

        in_threads(work)
        delivery.finish(60)
        assert delivery.dropped == 0
        for thread in {thread for thread, _ in told}:
            assert [number for one, number in told if one == thread] == list(range(300))
        assert len(told) == 4 * 300
        wait_until(lambda: _thread._count() == before)
