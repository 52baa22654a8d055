"""install(), requests through the public doors, statistics and reports, uninstall()."""

from __future__ import annotations

import _thread
import gc
import logging
import time
import weakref
from typing import Any

import pytest
from collecting import Node
from processes import wait_until

import gcctl
from gcctl._auto.in_process import AutoInProcess
from gcctl._lifecycle import observers
from gcctl._memory.pressure import Pressure


def run_requests(count: int) -> None:
    for _ in range(count):
        with gcctl.request():
            Node()


@pytest.mark.usefixtures("short_collections")
class TestPresets:
    def test_production_follows_the_sources_frequencies(self) -> None:
        controller = gcctl.install("production")
        assert controller.config.policy == "production"
        assert not gc.isenabled()
        run_requests(1000)
        stats = gcctl.stats()
        assert stats.requests == 1000
        assert stats.collections_by_generation == (900, 90, 10)
        assert stats.objects_collected >= 1000
        assert stats.collections == 1000
        assert stats.pause_max_ns >= stats.pause_percentile_ns(50) > 0
        assert stats.pause_total_ns >= stats.pause_max_ns
        assert stats.rss_bytes > 1_000_000

    def test_instagram_sets_the_sources_thresholds(self) -> None:
        gcctl.install("instagram")
        assert not gc.isenabled()
        assert gc.get_threshold()[:2] == (100, 5)

    def test_conservative_collects_older_generations_half_as_often(self) -> None:
        gcctl.install("conservative")
        run_requests(400)
        assert gcctl.stats().collections_by_generation == (380, 18, 2)

    def test_off_only_measures(self) -> None:
        gcctl.install("off")
        assert gc.isenabled()
        run_requests(10)
        gc.collect(1)
        stats = gcctl.stats()
        assert stats.requests == 10
        assert stats.collections_by_reason.scheduled == 0
        assert stats.collections_by_generation[1] >= 1
        assert (
            stats.collections
            == stats.collections_by_reason.automatic + stats.collections_by_reason.explicit
        )

    def test_the_sources_configuration_is_taken_as_it_stands(self) -> None:
        source: dict[str, Any] = {
            "enable_manual_gc": True,
            "gc_frequency": {
                "gen0_every_requests": 1,
                "gen1_every_requests": 10,
                "gen2_every_requests": 100,
            },
            "memory_threshold_mb": 1024,
            "max_gc_pause_ms": 10,
            "enable_monitoring": True,
        }
        gcctl.install(config=source)
        run_requests(5000)
        assert gcctl.stats().collections_by_generation == (4500, 450, 50)

    def test_overrides_beat_the_preset(self) -> None:
        gcctl.install("production", gen0_every=5, gen1_every=None, gen2_every=None)
        run_requests(20)
        assert gcctl.stats().collections_by_generation == (4, 0, 0)

    def test_full_collections_find_garbage_while_automatic_gc_is_off_and_while_it_is_on(
        self,
    ) -> None:
        for automatic in (False, True):
            with gcctl.install("off", gen2_every=1, automatic_gc=automatic):
                run_requests(1)
                events = [e for e in gcctl.stats().collections_by_reason._asdict().items() if e[1]]
                assert ("scheduled", 1) in events
                assert gcctl.stats().generations[2].objects_collected >= 1


class TestInstall:
    def test_twice_is_an_error_that_names_the_first(self) -> None:
        gcctl.install("instagram")
        with pytest.raises(gcctl.GcctlError, match=r"'instagram', at .*test_controller\.py:\d+"):
            gcctl.install()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"policy": "instagrm"}, "instagram"),
            ({"gen0_evry": 3}, "gen0_every"),
            ({"gen0_every": 0}, "gen0_every"),
            ({"max_pause": "10 parsecs"}, "max_pause"),
        ],
    )
    def test_bad_settings_are_refused_before_anything_is_changed(
        self, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(gcctl.ConfigError, match=message):
            gcctl.install(**arguments)
        assert gc.isenabled()
        assert gcctl.stats() == gcctl.Stats()

    def test_disabled_by_the_environment_is_a_logged_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        controller = gcctl.install()
        assert "disabled by GCCTL_DISABLE" in caplog.text
        assert not controller.installed
        assert gc.isenabled()
        run_requests(3)
        assert gcctl.stats() == controller.stats() == gcctl.Stats()
        controller.uninstall()
        gcctl.install().uninstall()

    def test_requests_before_and_after_do_nothing(self) -> None:
        run_requests(3)
        gcctl.tick()
        assert gcctl.stats().requests == 0
        gcctl.install()
        run_requests(2)
        gcctl.uninstall()
        run_requests(3)
        assert gcctl.stats() == gcctl.Stats()
        gcctl.install()
        assert gcctl.stats().requests == 0

    def test_from_a_thread_without_a_python_frame(self) -> None:
        _thread.start_new_thread(gcctl.install, ())
        wait_until(lambda: gcctl.stats().policy is not None)
        with pytest.raises(gcctl.GcctlError, match="an unknown place"):
            gcctl.install()

    def test_uninstall_without_install_does_nothing(self) -> None:
        gcctl.uninstall()
        gcctl.uninstall()

    def test_a_controller_uninstalls_itself_only(self) -> None:
        first = gcctl.install()
        first.uninstall()
        second = gcctl.install()
        first.uninstall()
        assert second.installed

    def test_with_block(self) -> None:
        with gcctl.install("production") as controller:
            run_requests(7)
        assert not controller.installed
        assert gc.isenabled()
        assert controller.stats().requests == 7, "the last statistics stay"
        assert controller.stats().collections_by_reason.requested == 1, "the final collection"


class TestReports:
    def test_status_report_at_its_frequency(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "gcctl")
        gcctl.install("production", report_every=50)
        run_requests(120)
        lines = [r.getMessage() for r in caplog.records if " requests, " in r.getMessage()]
        assert len(lines) == 2
        assert lines[1].startswith("100 requests, 100 collections (generation 0: 90, 1: 9, 2: 1)")

    def test_report_for_people(self) -> None:
        assert gcctl.report() == "gcctl is not installed"
        controller = gcctl.install("production")
        run_requests(1234)
        with pytest.raises(ZeroDivisionError), gcctl.request():
            raise ZeroDivisionError
        text = gcctl.report()
        assert "policy production" in text
        assert "1,235, 1 failed, 0 in flight" in text
        assert "emergency 1" in text
        assert controller.report().splitlines()[0] == text.splitlines()[0]

    def test_long_boundary_is_an_alert_that_says_what_was_collected(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gcctl.install("instagram", max_pause=1e-9, gen0_every=1)
        run_requests(1)
        alert = gcctl.stats().alerts[0]
        assert alert.kind == "long_gc_pause"
        assert "generation 0 collected" in alert.message
        assert alert.message in caplog.text
        assert alert.message in gcctl.report()

    def test_no_alerts_with_monitoring_off(self) -> None:
        gcctl.install("instagram", max_pause=1e-9, monitoring=False)
        run_requests(1)
        gc.collect()
        assert gcctl.stats().alerts == ()
        assert gcctl.stats().collections == 1

    def test_events_tell_the_last_collections(self) -> None:
        controller = gcctl.install("production")
        run_requests(300)
        events = controller.events()
        assert len(events) == 256
        assert events[-1].generation == 2
        assert [e.time_ns for e in events] == sorted(e.time_ns for e in events)
        controller.uninstall()
        assert controller.events()[-1].reason == "requested", "the final collection"
        run_requests(1)
        assert len(controller.events()) == 256

    def test_statistics_are_an_immutable_snapshot(self) -> None:
        gcctl.install()
        run_requests(1)
        before = gcctl.stats()
        run_requests(1)
        assert before.requests == 1
        hash(before)
        with pytest.raises(AttributeError):
            before.requests = 5  # type: ignore[misc]


class TestTrouble:
    def test_a_finalizer_that_collects_and_serves_a_request(self) -> None:
        class Awkward:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                gc.collect()
                with gcctl.request():
                    gcctl.tick()

        gcctl.install("production")
        with gcctl.request():
            Awkward()
        assert gcctl.stats().requests == 3
        assert gcctl.stats().in_flight == 0
        run_requests(1)
        assert gcctl.stats().faults == 0

    def test_a_finalizer_that_uninstalls(self) -> None:
        class Leaving:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                gcctl.uninstall()

        gcctl.install("production")
        with gcctl.request():
            Leaving()
        assert gc.isenabled()
        assert gcctl.stats() == gcctl.Stats()

    def test_handlers_see_their_own_exceptions(self) -> None:
        gcctl.install()
        for error in (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, BaseException):
            mine = error("mine")
            with pytest.raises(error) as caught, gcctl.request():
                raise mine
            assert caught.value is mine
        assert gcctl.stats().failures == 1  # the others ended it from outside
        assert gcctl.stats().in_flight == 0

    def test_broken_logging_does_not_break_a_request(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*args: object, **kwargs: object) -> None:
            raise RuntimeError("broken")

        caplog.set_level(logging.INFO, "gcctl")  # else nobody sees the reports: none is made
        gcctl.install("instagram", max_pause=1e-9, report_every=1)
        monkeypatch.setattr(logging.getLogger("gcctl"), "level", logging.INFO)
        monkeypatch.setattr(logging.Logger, "warning", broken)
        monkeypatch.setattr(logging.Logger, "info", broken)
        monkeypatch.setattr(logging.Logger, "exception", broken)
        run_requests(3)
        assert gcctl.stats().requests == 3
        assert gcctl.stats().faults == 4, "a report each time, and one alert: more are suppressed"
        monkeypatch.undo()

    def test_collections_go_on_when_somebody_clears_the_callbacks(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gcctl.install("production")
        kept = list(gc.callbacks)
        gc.callbacks.clear()
        run_requests(3)
        assert gcctl.stats().collections == 3
        gcctl.uninstall()
        assert "removed gcctl's entry from gc.callbacks" in caplog.text
        gc.callbacks[:] = kept[:-1]

    def test_broken_logging_does_not_break_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: object, **kwargs: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(logging.Logger, "warning", broken)
        monkeypatch.setattr(logging.Logger, "info", broken)
        with gcctl.install("instagram", memory_limit=1) as controller:
            assert controller.installed
        assert gc.isenabled()

    def test_broken_logging_does_not_keep_callbacks_from_being_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*args: object, **kwargs: object) -> None:
            raise RuntimeError("broken")

        def slow(alert: gcctl.Alert) -> None:
            time.sleep(0.05)
            told.append(alert)

        told: list[gcctl.Alert] = []
        controller = gcctl.install("off", memory_limit=1)
        controller.on_alert(slow)
        gcctl.check_memory()
        monkeypatch.setattr(logging.Logger, "info", broken)
        gcctl.uninstall()
        assert len(told) == len(controller.stats().alerts) > 0


def test_observers_are_called_at_checks_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []

    def broken(controller: gcctl.Controller, ended: bool) -> None:
        raise RuntimeError

    def observer(controller: gcctl.Controller, ended: bool) -> None:
        seen.append((controller.stats().requests > 0, ended))

    monkeypatch.setattr(observers, "_observers", ())
    observers.observe(broken)
    observers.observe(observer)
    gcctl.install("off", check_interval="1ms")

    def checked() -> bool:
        with gcctl.request():
            return len(seen) >= 2

    wait_until(checked)
    assert set(seen) == {(True, False)}
    assert gcctl.stats().faults >= 2
    gcctl.uninstall()
    assert seen.pop() == (True, True)
    assert set(seen) == {(True, False)}


def test_observers_are_called_whatever_else_happens_in_a_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError

    seen: list[bool] = []
    monkeypatch.setattr(observers, "_observers", ())
    observers.observe(lambda controller, ended: seen.append(ended))
    monkeypatch.setattr(AutoInProcess, "check", broken)
    monkeypatch.setattr(Pressure, "refresh_and_check", broken)
    gcctl.install(memory_limit="99%", check_interval="1ms")

    def checked() -> bool:
        gcctl.tick()
        return bool(seen)

    wait_until(checked)


def test_one_that_was_uninstalled_is_no_cyclic_garbage() -> None:
    gc.collect()
    gc.disable()
    try:
        controller = weakref.ref(gcctl.install("off"))
        gcctl.uninstall()
        assert controller() is None
    finally:
        gc.enable()
