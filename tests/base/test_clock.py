"""The clock and the sleep of gcctl, where somebody has replaced those of the module `time`."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest
from processes import needs_fork, run_program

from gcctl._base.clock import monotonic, sleep
from gcctl._process.twins import core


def test_it_is_the_clock_of_the_core() -> None:
    before = core.now()
    between = monotonic.now_ns()
    assert before <= between <= core.now()
    assert abs(monotonic.seconds() - time.perf_counter()) < 60


def test_others_run_while_one_sleeps() -> None:
    turns: list[int] = []
    thread = threading.Thread(target=lambda: turns.append(1))
    thread.start()
    while not turns:
        sleep(0.0001)
    thread.join()


BROKEN = """
import time
def broken(*args):
    raise AssertionError("gcctl has called a function of the module time")
for name in ("monotonic", "perf_counter"):
    setattr(time, name, broken)
    setattr(time, f"{name}_ns", broken)
time.sleep = broken
"""

USES = """
import gc, os, sys
import gcctl
controller = gcctl.install("production", recycle_after_requests=1, check_interval="1ms")
controller.on_recycle(print)
for _ in range(100):
    with gcctl.request():
        [[] for _ in range(100)]
with gcctl.hold(), gcctl.batch():
    pass
gcctl.collect_concurrently().finish()
pid = os.fork() if hasattr(os, "fork") else 0
if not pid and hasattr(os, "fork"):
    os._exit(0)
if pid:
    os.waitpid(pid, 0)
print(gcctl.stats().faults)
gcctl.uninstall()
gcctl.share_with_children()
"""


@pytest.mark.parametrize("early", [True, False], ids=["before gcctl", "after gcctl"])
def test_nothing_is_asked_of_the_module_time(early: bool, tmp_path: Path) -> None:
    """Tests of programs replace its functions, count the calls, and have them raise."""
    source = (
        BROKEN + USES if early else USES.replace("\nimport gcctl\n", "\nimport gcctl\n" + BROKEN)
    )
    out = run_program(source, tmp_path).splitlines()
    assert out[0].startswith("RecycleAdvice(")
    assert out[1:] == ["0"]


@needs_fork
@pytest.mark.skipif(sys.platform == "darwin", reason="forking with threads is unsafe on macOS")
def test_a_fork_gives_up_waiting_for_an_import_though_time_stands_still(tmp_path: Path) -> None:
    source = """
import os, threading, time
import gcctl
from gcctl._base import late
late.WAIT_SECONDS = 0.05
time.monotonic = lambda: 0.0
inside, over = threading.Event(), threading.Event()
def slow():
    with late.importing:
        inside.set()
        over.wait(60)
thread = threading.Thread(target=slow)
thread.start()
inside.wait()
pid = os.fork()
if not pid:
    os._exit(0)
print(os.waitpid(pid, 0)[1])
over.set()
thread.join()
"""
    assert run_program(source, tmp_path) == "0\n"
