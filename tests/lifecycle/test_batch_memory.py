"""Memory is watched in a batch, by a thread."""

from __future__ import annotations

import _thread
import gc
import logging

import pytest
from memory_hog import LITTLE
from processes import in_child, needs_fork, wait_until
from threads import no_thread

import gcctl


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

    @needs_fork
    def test_is_watched_in_a_batch_of_a_child(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # What the thread that watches logs just then may hold a lock that the child inherits.
        monkeypatch.setattr(logging.getLogger("gcctl"), "disabled", True)
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")

        def child() -> object:
            with gcctl.batch():
                wait_until(lambda: gcctl.stats().high_memory_events == 1)
            return gcctl.stats().high_memory_events

        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
            assert in_child(child) == "1"
