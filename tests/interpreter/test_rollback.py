"""The interpreter's settings come back, whatever ends the installation."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interruptions import interrupt_everywhere
from processes import run_program

import gcctl
from gcctl._interpreter.settings import Rollback, Settings
from gcctl._process import twins

PRESETS = ["instagram", "production", "conservative", "off"]


@given(
    policy=st.sampled_from(PRESETS),
    enabled=st.booleans(),
    thresholds=st.tuples(st.integers(1, 10**6), st.integers(0, 100), st.integers(0, 100)),
    debug=st.sampled_from([0, gc.DEBUG_UNCOLLECTABLE]),
)
def test_settings_come_back_from_every_preset(
    policy: str, enabled: bool, thresholds: tuple[int, int, int], debug: int
) -> None:
    before = Settings.current()
    gc.freeze()  # short collections
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*thresholds)
    gc.set_debug(debug)
    original = Settings.current()
    callbacks = list(gc.callbacks)
    try:
        gcctl.install(policy)
        gcctl.tick()
        gcctl.uninstall()
        assert Settings.current() == original
        assert gc.callbacks == callbacks
    finally:
        gc.set_threshold(*before.thresholds)
        gc.set_debug(before.debug)
        gc.enable()
        gc.unfreeze()


class TestDrift:
    def test_what_somebody_else_changed_is_left_and_reported(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        thresholds = gc.get_threshold()
        gcctl.install("instagram")
        gc.set_threshold(12345, 6, 7)
        theirs = gc.get_threshold()
        gcctl.uninstall()
        assert gc.get_threshold() == theirs
        assert gc.isenabled()
        assert "thresholds: gcctl left (100, 5, " in caplog.text
        assert "somebody made it (12345, 6, " in caplog.text
        gc.set_threshold(*thresholds)

    def test_enabling_meanwhile_ends_as_found(self, caplog: pytest.LogCaptureFixture) -> None:
        gcctl.install("production")
        gc.enable()
        with gcctl.request():
            pass
        assert gcctl.stats().collections_by_reason.scheduled == 1
        gcctl.uninstall()
        assert gc.isenabled()

    def test_gc_enabled_by_others_where_it_was_off_stays_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gc.disable()
        gcctl.install("production")
        gc.enable()
        gcctl.uninstall()
        assert gc.isenabled()
        assert "enabled: gcctl left False, somebody made it True" in caplog.text

    def test_callbacks_of_others_stay(self) -> None:
        def callback(phase: str, info: dict[str, int]) -> None:
            pass

        gcctl.install("production")
        gc.callbacks.append(callback)
        gcctl.tick()
        gcctl.uninstall()
        assert gc.callbacks.pop() is callback

    def test_frozen_objects_of_others_stay_frozen(self, tmp_path: Path) -> None:
        out = run_program(
            """
            import gc, gcctl
            gc.freeze()
            gcctl.install("production")
            for _ in range(200):
                with gcctl.request(): pass
            gcctl.uninstall()
            print(gc.get_freeze_count() > 1000)
            """,
            tmp_path,
        )
        assert out == "True\n"


class TestInterruption:
    def test_an_error_inside_install_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(gc, "set_threshold", broken)
        with pytest.raises(RuntimeError, match="broken"):
            gcctl.install("instagram")
        monkeypatch.undo()
        assert gc.isenabled()
        assert gcctl.stats() == gcctl.Stats()
        with gcctl.install("production"):
            pass

    def test_a_setting_that_does_not_take_is_an_error_after_all_others_are_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        thresholds = gc.get_threshold()
        gcctl.install("instagram")
        monkeypatch.setattr(gc, "set_threshold", lambda *args: None)
        with pytest.raises(gcctl.GcctlError, match=r"not restored: gc thresholds was set to"):
            gcctl.uninstall()
        monkeypatch.undo()
        assert gc.isenabled()
        gc.set_threshold(*thresholds)
        gcctl.uninstall()

    def test_rollback_can_be_asked_again(self) -> None:
        rollback = Rollback()
        rollback.apply(enabled=False, thresholds=(111, 2, 3))
        assert rollback.undo() == ()
        assert rollback.undo() == ()
        assert rollback.original == Settings.current()

    def test_a_signal_that_raises_anywhere_is_survived(self, tmp_path: Path) -> None:
        """An exception at each point where CPython looks for signals, one after the other."""
        points = interrupt_everywhere(
            """
            from gcctl._interpreter.settings import Settings

            def use_gcctl():
                with gcctl.install("instagram"):
                    with gcctl.request():
                        pass

            before = Settings.current()
            """,
            "use_gcctl",
            """
            gcctl.uninstall()
            assert Settings.current() == before, raise_at
            assert gcctl.stats() == gcctl.Stats(), raise_at
            assert gc.callbacks == [], raise_at
            """,
            tmp_path,
        )
        assert points > 50

    def test_an_interrupted_uninstall_keeps_the_last_statistics(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Rollback.undo

        def undo(self: Rollback) -> object:
            monkeypatch.undo()
            raise KeyboardInterrupt

        controller = gcctl.install("production")
        for _ in range(7):
            gcctl.tick()
        monkeypatch.setattr(Rollback, "undo", undo)
        with pytest.raises(KeyboardInterrupt):
            gcctl.uninstall()
        assert Rollback.undo is real
        assert not controller.installed
        assert controller.stats().requests == 7
        assert controller.stats().collections_by_reason.requested == 1

    def test_broken_logging_does_not_keep_it_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*args: object, **kwargs: object) -> None:
            raise RuntimeError("broken")

        controller = gcctl.install("production")
        monkeypatch.setattr(logging.Logger, "info", broken)
        gcctl.uninstall()
        monkeypatch.undo()
        assert not controller.installed
        assert controller.stats().collections_by_reason.requested == 1

    def test_installing_anew_inside_the_last_collection_is_refused(self) -> None:
        class Stubborn:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                gcctl.uninstall()
                try:
                    gcctl.install("instagram")
                except gcctl.GcctlError as error:
                    refused.append(str(error))

        refused: list[str] = []
        gcctl.install("production")
        Stubborn()
        gcctl.uninstall()
        assert refused
        assert "in the middle of install() or uninstall()" in refused[0]
        assert gc.isenabled()
        assert gcctl.stats() == gcctl.Stats()

    def test_installing_anew_inside_a_boundary_leaves_the_new_one(self) -> None:
        class Reloading:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                gcctl.uninstall()
                gcctl.install("instagram")

        gcctl.install("production")
        with gcctl.request():
            Reloading()
        assert gcctl.stats().policy == "instagram"
        assert sum(getattr(entry, "__self__", None) is twins.core for entry in gc.callbacks) == 1
        gcctl.uninstall()

    @pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP on Windows")
    def test_a_handler_that_reloads_at_any_moment_leaves_nothing_half_done(
        self, tmp_path: Path
    ) -> None:
        out = run_program(
            """
            import gc, gcctl, os, signal, time

            def reload(*args):
                try:
                    gcctl.uninstall()
                    gcctl.install("production")
                except gcctl.GcctlError:  # in the middle of the other one
                    pass

            signal.signal(signal.SIGHUP, reload)
            gcctl.install("production")
            me, pid = os.getpid(), os.fork()
            if not pid:
                for _ in range(200):
                    os.kill(me, signal.SIGHUP)
                    time.sleep(0.002)
                os._exit(0)
            while True:
                try:
                    if os.waitpid(pid, os.WNOHANG) != (0, 0):
                        break
                    with gcctl.request():
                        pass
                    gcctl.uninstall()
                    gcctl.install("production")
                except gcctl.GcctlError:
                    pass
            gcctl.uninstall()
            print(gc.isenabled(), gc.callbacks, gcctl.stats().policy)
            """,
            tmp_path,
        )
        assert out == "True [] None\n"

    def test_uninstall_from_a_signal_handler_in_the_middle_of_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = gc.set_threshold

        def set_threshold(*thresholds: int) -> None:
            real(*thresholds)
            monkeypatch.undo()
            gcctl.uninstall()

        monkeypatch.setattr(gc, "set_threshold", set_threshold)
        before = Settings.current()
        with pytest.raises(gcctl.GcctlError, match="uninstalled while it was being installed"):
            gcctl.install("instagram")
        assert Settings.current() == before


def test_enabling_automatic_gc_first_collects_what_came_while_it_was_off(tmp_path: Path) -> None:
    out = run_program(
        """
        import gc, gcctl
        gc.disable()
        kept = [[] for _ in range(100_000)]
        gcctl.install("off", automatic_gc=True, thresholds=(1_000_000, 10, 10))
        print(gc.isenabled(), gc.get_count()[0] < 10_000, gcctl.stats().collections)
        gcctl.uninstall()
        print(gc.isenabled())
        """,
        tmp_path,
    )
    assert out == "True True 0\nFalse\n"


class TestAtExit:
    def test_settings_are_back_for_exit_functions_registered_before(self, tmp_path: Path) -> None:
        out = run_program(
            """
            import atexit, gc
            atexit.register(lambda: print(gc.isenabled(), gc.get_threshold()[0], len(gc.callbacks)))
            gc.set_threshold(4321, 10, 10)
            import gcctl
            gcctl.install("instagram")
            print(gc.isenabled(), gc.get_threshold()[0], len(gc.callbacks))
            """,
            tmp_path,
        )
        assert out == "False 100 1\nTrue 4321 0\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to handle on Windows")
    def test_after_a_signal_that_raises(self, tmp_path: Path) -> None:
        out = run_program(
            """
            import atexit, gc, os, signal, sys
            atexit.register(lambda: print(gc.isenabled(), flush=True))
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
            import gcctl
            gcctl.install("production")
            with gcctl.request():
                os.kill(os.getpid(), signal.SIGTERM)
                while True: pass
            """,
            tmp_path,
            status=3,
        )
        assert out == "True\n"


def test_young_objects_are_collected_before_automatic_gc_returns(tmp_path: Path) -> None:
    """Else the first allocations after uninstall() would stop for all that came meanwhile."""
    out = run_program(
        """
        import gc, gcctl
        gcctl.install("instagram", gen0_every=None, gen1_every=None, gen2_every=None)
        kept = [[] for _ in range(100_000)]
        gcctl.uninstall()
        print(gc.get_count()[0] < 1000)
        """,
        tmp_path,
    )
    assert out == "True\n"


def test_two_threads_installing_at_once_leave_one_controller() -> None:
    results: list[object] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        try:
            results.append(gcctl.install("production"))
        except gcctl.GcctlError as error:
            results.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, gcctl.Controller) for result in results) == 1
    assert sum(isinstance(result, gcctl.GcctlError) for result in results) == 7
