"""Sections that no collection is to stop."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import suppress

import pytest
from processes import wait_until

import gcctl
from gcctl._lifecycle.hold import sections

LONG = "1h"


def collections() -> int:
    return gcctl.stats().collections


class TestWithout:
    """No controller is installed."""

    def test_automatic_gc_is_off_meanwhile(self) -> None:
        with gcctl.hold():
            assert not gc.isenabled()
        assert gc.isenabled()

    def test_and_stays_off_where_it_was(self) -> None:
        gc.disable()
        with gcctl.hold():
            pass
        assert not gc.isenabled()
        gc.enable()

    def test_exceptions_pass(self) -> None:
        with pytest.raises(KeyError), gcctl.hold():
            raise KeyError
        assert gc.isenabled()

    def test_one_may_be_in_another_and_the_same_be_entered_again(self) -> None:
        one = gcctl.hold(LONG)
        with one, gcctl.hold(LONG), one:
            assert not gc.isenabled()
        assert gc.isenabled()

    def test_the_last_of_several_threads_to_leave_ends_it(self) -> None:
        inside, leave = threading.Event(), threading.Event()

        def other() -> None:
            with gcctl.hold(LONG):
                inside.set()
                leave.wait()

        thread = threading.Thread(target=other)
        with gcctl.hold(LONG):
            thread.start()
            inside.wait()
        assert not gc.isenabled()
        leave.set()
        thread.join()
        assert gc.isenabled()

    def test_after_the_deadline_automatic_gc_is_back(self) -> None:
        with gcctl.hold("1ms"):
            wait_until(gc.isenabled)
        with gcctl.hold(LONG):
            assert not gc.isenabled()
        assert gc.isenabled()

    def test_sections_that_overlap_end_with_the_deadline_of_the_first(self) -> None:
        first = gcctl.hold("50ms")
        first.__enter__()
        with gcctl.hold(LONG):
            first.__exit__(None, None, None)
            assert not gc.isenabled()
            wait_until(gc.isenabled)

    def test_one_that_ends_sooner_than_those_before_it(self) -> None:
        with gcctl.hold(LONG), gcctl.hold("1ms") as short:
            section = short._sections[0]
            wait_until(lambda: section not in sections._open)
            assert not gc.isenabled()
        assert gc.isenabled()

    @pytest.mark.parametrize("deadline", [0, -1, "soon", "2h", None])
    def test_a_deadline_that_is_none(self, deadline: object) -> None:
        with pytest.raises(gcctl.ConfigError, match=r"deadline: .* expected a duration from 1ns"):
            gcctl.hold(deadline)  # type: ignore[arg-type]

    def test_disabled_it_does_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        with gcctl.hold():
            assert gc.isenabled()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_child_holds_nothing(self) -> None:
        with gcctl.hold(LONG):
            child = os.fork()
            if not child:
                os._exit(not gc.isenabled())
        assert os.waitpid(child, 0)[1] == 0

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_leaving_it_in_a_forked_child_does_no_harm(self) -> None:
        with suppress(SystemExit):
            with gcctl.hold(LONG):
                child = os.fork()
            if not child:
                with gcctl.hold(LONG):
                    held = not gc.isenabled()
                os._exit(not (held and gc.isenabled()))
        assert os.waitpid(child, 0)[1] == 0


class TestInstalled:
    def test_boundaries_owe_their_collections(self) -> None:
        with gcctl.install("production"):
            with gcctl.hold(LONG):
                gcctl.tick()
                assert collections() == 0
            gcctl.tick()
            assert collections() == 1

    def test_after_the_deadline_they_collect(self) -> None:
        def ticked() -> int:
            gcctl.tick()
            return collections()

        with gcctl.install("production"), gcctl.hold("1ms"):
            wait_until(ticked)

    def test_explicit_calls_collect(self) -> None:
        with gcctl.install("off"), gcctl.hold(LONG):
            gc.collect()
            assert collections() == 1

    def test_uninstalling_meanwhile_is_complete(self) -> None:
        thresholds = gc.get_threshold()
        with gcctl.hold(LONG):
            with gcctl.install():
                pass
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_threshold() == thresholds
