"""The alert gc_settings_changed: what others do to the collector is told, once; gcctl's is not."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import in_child, needs_fork, run_program, wait_until
from threads import in_threads, switching_often

import gcctl
from gcctl._interpreter.mechanisms import missing
from gcctl._process import twins

generational = pytest.mark.skipif(
    bool(missing("stand-ins")), reason="without stand-ins nothing tells of a freeze"
)


@pytest.fixture(autouse=True)
def as_found() -> Iterator[None]:
    """Whatever the test does to the settings."""
    enabled, thresholds, debug = gc.isenabled(), gc.get_threshold(), gc.get_debug()
    callbacks, entries = gc.callbacks, list(gc.callbacks)
    yield
    gcctl.uninstall()
    gc.callbacks = callbacks
    gc.callbacks[:] = entries
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*thresholds)
    gc.set_debug(debug)
    gc.unfreeze()


def told() -> int:
    return gcctl.stats().alert_counts.gc_settings_changed


def take_out_of_callbacks() -> None:
    gc.callbacks[:] = [c for c in gc.callbacks if getattr(c, "__self__", None) is not twins.core]


def replace_callbacks() -> None:
    gc.callbacks = list(gc.callbacks)


def set_thresholds() -> None:
    gc.set_threshold(4321, 6, gc.get_threshold()[2])


CHANGES: dict[str, tuple[str, Callable[[], object], str]] = {
    "disable": ("off", gc.disable, "enabled: True became False"),
    "enable": ("production", gc.enable, "enabled: False became True"),
    "set_threshold": ("off", set_thresholds, "became (4321, 6, "),
    "set_debug": ("off", lambda: gc.set_debug(gc.DEBUG_UNCOLLECTABLE), "debug: 0 became 4"),
    "take out": ("off", take_out_of_callbacks, "gcctl's entry was taken out of gc.callbacks"),
    "clear": ("off", lambda: gc.callbacks.clear(), "gcctl's entry was taken out of gc.callbacks"),
    "replace": ("off", replace_callbacks, "gc.callbacks became another list"),
    "freeze": ("off", gc.freeze, "gc.freeze() was called"),
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=generational) if name == "freeze" else name for name in CHANGES
    ]
)
def change(
    request: pytest.FixtureRequest, no_collection_by_itself: None
) -> tuple[Callable[[], object], str]:
    """What somebody else does and what is told of it; a controller is installed."""
    policy, act, message = CHANGES[request.param]
    gcctl.install(policy, max_pause="1h", memory_limit=None, check_interval="1ms")
    gc.collect(1)  # the counters are not zero
    assert told() == 0
    return act, message


class TestChangesOfOthers:
    def test_are_told_by_stats_once(self, change: tuple[Callable[[], object], str]) -> None:
        act, message = change
        act()
        assert told() == 1
        (alert,) = gcctl.stats().alerts
        assert alert.kind == "gc_settings_changed"
        assert alert.message.startswith("somebody changed the GC: ")
        assert message in alert.message
        gc.collect()
        assert told() == 1

    def test_are_told_at_a_boundary(
        self, change: tuple[Callable[[], object], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        act, message = change
        act()

        def at_a_boundary() -> bool:
            gcctl.tick()
            return message in caplog.text

        wait_until(at_a_boundary)
        assert told() == 1

    def test_are_told_at_the_end(
        self, change: tuple[Callable[[], object], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        act, message = change
        act()
        gcctl.uninstall()
        assert message in caplog.text

    def test_are_not_told_without_monitoring(
        self, change: tuple[Callable[[], object], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        gcctl.uninstall()
        gcctl.install("off", monitoring=False)
        change[0]()
        assert told() == 0

    def test_are_told_by_one_of_many_threads_that_look(self) -> None:
        gcctl.install("off", max_pause="1h", max_collections_per_minute=None)
        barrier = threading.Barrier(4)

        def look() -> None:
            for _ in range(100):
                if barrier.wait() == 0:
                    gc.set_debug(gc.get_debug() ^ gc.DEBUG_UNCOLLECTABLE)
                barrier.wait()
                gcctl.stats()

        in_threads(look)
        assert 0 < told() <= 100

    def test_several_at_once_are_one_alert_that_says_them_all(self) -> None:
        gcctl.install("off", max_pause="1h")
        gc.disable()
        set_thresholds()
        assert told() == 1
        (alert,) = gcctl.stats().alerts
        assert "enabled: True became False; thresholds: " in alert.message

    def test_each_time_it_is_changed(self) -> None:
        gcctl.install("off", max_pause="1h")
        for number in range(1, 4):
            (gc.disable if gc.isenabled() else gc.enable)()
            assert told() == number

    def test_on_in_a_batch_where_it_was_off(self) -> None:
        gcctl.install("production", max_pause="1h", memory_limit=None)
        with gcctl.batch():
            gc.enable()
            assert told() == 1
            with gcctl.batch():
                assert told() == 1
        assert gc.isenabled()
        assert told() == 1

    @generational
    @pytest.mark.usefixtures("no_collection_by_itself")
    def test_a_freeze_is_told_also_where_some_were_frozen_before(self) -> None:
        gc.freeze()
        gcctl.install("off", max_pause="1h")
        gc.collect(1)
        assert told() == 0
        kept: list[object] = [[] for _ in range(2000)]
        gc.freeze()
        assert told() == 1
        del kept


def test_immortal_objects_are_not_frozen_by_anybody(tmp_path: Path) -> None:
    """CPython 3.12 moves them to where gc.freeze() does, in the first full collection."""
    out = run_program(
        """
        import gc, gcctl
        gcctl.install("off", max_pause="1h")
        gc.collect(1)
        gc.collect(1)
        gcctl.stats()

        class Curious:
            def __init__(self):
                self.me = self

            def __del__(self):
                gcctl.stats()

        Curious()
        gc.collect()
        print(gcctl.stats().alerts)
        """,
        tmp_path,
    )
    assert out == "()\n"


STEPS: dict[str, Callable[[], object]] = {
    "batch": lambda: with_batch(gcctl.stats),
    "nested": lambda: with_batch(lambda: with_batch(gcctl.stats)),
    "loop": lambda: [gcctl.stats() for _ in gcctl.batched_gc(range(3), every=2)],
    "request": lambda: gcctl.request(gcctl.stats)(),
    "tick": gcctl.tick,
    "young": lambda: gc.collect(0),
    "middle": lambda: gc.collect(1),
    "full": gc.collect,
    "look": gcctl.stats,
    "unfreeze": gc.unfreeze,
    "same thresholds": lambda: gc.set_threshold(*gc.get_threshold()),
}
if hasattr(os, "fork"):
    STEPS["fork"] = lambda: in_child(lambda: gcctl.stats().alerts)


def with_batch(work: Callable[[], object]) -> None:
    with gcctl.batch():
        work()


class TestOwnChanges:
    @given(
        policy=st.sampled_from(["off", "instagram", "production"]),
        automatic=st.sampled_from([None, False, True]),
        enabled=st.booleans(),
        steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=8),
        older=st.booleans(),
    )
    def test_raise_no_alert(
        self, policy: str, automatic: bool | None, enabled: bool, steps: list[str], older: bool
    ) -> None:
        (gc.enable if enabled else gc.disable)()
        gc.freeze()  # short collections
        batch = gcctl.batch()
        if older:
            batch.__enter__()
        controller = gcctl.install(policy, automatic_gc=automatic, memory_limit=None)
        for number, step in enumerate(steps):
            STEPS[step]()
            if number == 3:
                batch.__exit__(None, None, None)
        gcctl.uninstall()
        batch.__exit__(None, None, None)
        gc.enable()
        gc.unfreeze()
        assert controller.stats().alert_counts.gc_settings_changed == 0
        assert controller.stats().faults == 0

    @needs_fork
    def test_raise_no_alert_while_others_look(self) -> None:
        gcctl.install("off", max_pause="1h", max_collections_per_minute=None)
        gc.collect()
        gc.freeze()
        gcctl.uninstall()
        gcctl.install("off", max_pause="1h", max_collections_per_minute=None)
        stop = threading.Event()
        seen: list[int] = []

        def look() -> None:
            while not stop.is_set():
                seen.append(told())

        threads = [threading.Thread(target=look) for _ in range(2)]
        with switching_often():
            for thread in threads:
                thread.start()
            try:
                for number in range(200):
                    with gcctl.batch():
                        pass
                    if number % 20 == 0:
                        assert in_child(lambda: gcctl.stats().alerts) == "()"
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
        assert set(seen) == {0}

    @pytest.mark.usefixtures("no_collection_by_itself")  # its callback is Python in one twin
    @pytest.mark.parametrize("policy", ["off", "instagram"])
    def test_raise_no_alert_where_uninstalling_comes_in_the_middle_of_a_look(
        self, policy: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        steps = itertools.count(1)
        for step in steps:
            controller = gcctl.install(policy, max_pause="1h", memory_limit=None)
            left = step

            def as_another_thread_might(*_: object) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    gcctl.uninstall()

            sys.setprofile(as_another_thread_might)
            gcctl.stats()
            sys.setprofile(None)
            if controller.installed:  # the look has fewer steps than that
                break
        assert step > 20
        assert "somebody changed" not in caplog.text

    @pytest.mark.parametrize("generation", [1, 2])
    @pytest.mark.parametrize("own", [True, False], ids=["ours", "theirs"])
    def test_a_collection_in_which_somebody_looks_is_no_freeze(
        self, generation: int, own: bool
    ) -> None:
        """The counters are zero then and the collection is not counted yet."""

        class Curious:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                seen.append(told())
                thread = threading.Thread(target=lambda: seen.append(told()))
                thread.start()
                while thread.is_alive():
                    time.sleep(0.001)

        seen: list[int] = []
        every: dict[str, Any] = {f"gen{generation}_every": 1} if own else {}
        gcctl.install("off", max_pause="1h", **every)
        for count in range(3):
            gc.disable()
            gc.enable()
            gc.collect(1)
            gc.collect(1)
            assert told() == 0, count
            Curious()
            if own:
                gcctl.tick()
            else:
                gc.collect(generation)
            assert told() == 0
        assert seen == [0] * 6


def test_at_the_end_of_the_process(tmp_path: Path) -> None:
    out = run_program(
        """
        import gc, logging, sys
        import gcctl
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        gcctl.install("off", max_pause="1h")
        gc.disable()
        """,
        tmp_path,
    )
    assert out.splitlines() == [
        "somebody changed the GC: enabled: True became False",
        "gc settings left as they are: enabled: gcctl left True, somebody made it False",
    ]
