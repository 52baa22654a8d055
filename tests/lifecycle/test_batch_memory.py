"""Memory is watched in a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_hog import LITTLE
from processes import in_child, needs_fork, run_program, wait_until

import gcctl
from gcctl._interpreter.asking import asks

ASKS = pytest.mark.skipif(not asks(), reason="this process cannot ask its main thread")


@ASKS
class TestTheMainThread:
    def test_watches_it_without_boundaries(self) -> None:
        gcctl.install("off", memory_limit=LITTLE, check_interval=0.001)
        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
            assert gcctl.stats().high_memory

    def test_also_in_a_batch_begun_before_install(self) -> None:
        with gcctl.batch(), gcctl.install("off", memory_limit=LITTLE, check_interval=0.001):
            wait_until(lambda: gcctl.stats().high_memory_events == 1)

    def test_at_once_however_seldom_it_checks(self) -> None:
        for _ in range(2):
            with gcctl.install("off", memory_limit=LITTLE, check_interval="1h"), gcctl.batch():
                wait_until(lambda: gcctl.stats().high_memory_events == 1)

    def test_again_and_again(self) -> None:
        with gcctl.install("off", memory_limit=LITTLE, check_interval=0.001), gcctl.batch():
            before = gcctl.stats().collections
            wait_until(lambda: gcctl.stats().collections > before + 1)

    @needs_fork
    def test_in_a_batch_of_a_child(self) -> None:
        gcctl.install("off", memory_limit=LITTLE, check_interval="1h")

        def child() -> object:
            with gcctl.batch():
                wait_until(lambda: gcctl.stats().high_memory_events == 1)
            return gcctl.stats().high_memory_events

        with gcctl.batch():
            wait_until(lambda: gcctl.stats().high_memory_events == 1)
            assert in_child(child) == "1"


def test_where_nobody_can_be_asked_automatic_gc_takes_over(tmp_path: Path) -> None:
    """As in the Python twin. Where memory is far below its limit, the batch holds it off."""
    source = """
    import gc, os, threading, time

    os.environ["GCCTL_WITHOUT"] = "asking"

    import gcctl

    for limit in 1, "1TiB":
        with gcctl.install("off", memory_limit=limit, check_interval="1ms"), gcctl.batch():
            time.sleep(0.5)
            print(gc.isenabled(), end=" ")
    gc.disable()
    with gcctl.install("off", memory_limit=1, check_interval="1ms"), gcctl.batch():
        time.sleep(0.5)
        print(gc.isenabled())
    """
    assert run_program(source, tmp_path) == "True False False\n"


def test_without_a_limit_nobody_watches(tmp_path: Path) -> None:
    source = """
    import os, gcctl

    gcctl.install("off", memory_limit=None)
    with gcctl.batch():
        print(len(os.listdir("/proc/self/task")))
    """
    if not Path("/proc/self/task").exists():
        pytest.skip("the system does not list threads")
    assert run_program(source, tmp_path) == "1\n"
