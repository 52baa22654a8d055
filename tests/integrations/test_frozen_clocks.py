"""Libraries that freeze or shift time: gcctl's deadlines and measurements go on as ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run_program

FREEZEGUN = """
import freezegun
def frozen(day):
    return freezegun.freeze_time(day)
"""

TIME_MACHINE = """
import datetime, time_machine
def frozen(day):
    return time_machine.travel(datetime.datetime.fromisoformat(day + "T00:00Z"), tick=False)
"""

PROGRAM = """
import gc, os, sys, threading, time
real = [time.perf_counter]  # libraries go through the attributes of modules
def in_time(condition):
    end = real[0]() + 60
    while not condition():
        if real[0]() > end:
            return False
    return True
"""


@pytest.fixture(params=["freezegun", "time_machine"])
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return PROGRAM + {"freezegun": FREEZEGUN, "time_machine": TIME_MACHINE}[request.param]


def test_a_hold_ends_at_its_deadline_whatever_day_it_is(library: str, tmp_path: Path) -> None:
    source = """
import gcctl
for installed in (False, True):
    if installed:
        gcctl.install("production", gen0_every=None, gen1_every=None, gen2_every=None)
        gc.enable()
    with frozen("2030-01-01"), gcctl.hold(deadline="20ms"):
        print(in_time(gc.isenabled))
    with gcctl.hold(deadline="20ms"):
        with frozen("1999-01-01"):
            print(in_time(gc.isenabled))
    with gcctl.hold(deadline="1h"):
        with frozen("2039-01-01"):
            end = real[0]() + 0.2
            in_time(lambda: real[0]() > end)
            print(gc.isenabled())
"""
    expected = "True\nTrue\nFalse\n" * 2
    assert run_program(library + source, tmp_path) == expected


def test_requests_are_counted_and_timed(library: str, tmp_path: Path) -> None:
    source = """
import gcctl
gcctl.install(check_interval="1ms")
before = gcctl.stats().elapsed_ns
with frozen("2030-01-01"):
    for _ in range(200):
        with gcctl.request():
            [[] for _ in range(50)]
    gc.collect()
    stats = gcctl.stats()
    print(stats.faults, stats.elapsed_ns > before, stats.pause_total_ns > 0)
"""
    assert run_program(library + source, tmp_path) == "0 True True\n"


def test_gcctl_may_be_imported_while_time_stands_still(library: str, tmp_path: Path) -> None:
    source = """
with frozen("2030-01-01"):
    import gcctl
    gcctl.install()
    before = gcctl.stats().elapsed_ns
    print(in_time(lambda: gcctl.stats().elapsed_ns > before))
"""
    assert run_program(library + source, tmp_path) == "True\n"


def test_uninstalling_waits_no_longer_than_it_should(library: str, tmp_path: Path) -> None:
    source = """
import logging, gcctl
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
called, over = threading.Event(), threading.Event()
controller = gcctl.install("production", recycle_after_requests=1)
@controller.on_recycle
def blocking(advice):
    called.set()
    over.wait(60)
gcctl.tick()
called.wait()
controller._parts.recycling._callbacks.send("another")
with frozen("2030-01-01"):
    gcctl.uninstall()
    print(over.is_set(), gc.isenabled())
over.set()
"""
    *_, said, end = run_program(library + source, tmp_path).splitlines()
    assert said.startswith("callbacks for advice to recycle: 1 not delivered yet")
    assert end == "False True"


@needs_fork
def test_a_fork_waits_no_longer_than_it_should(library: str, tmp_path: Path) -> None:
    source = """
import gcctl
from gcctl._base import late
from gcctl._interpreter import forks
late.WAIT_SECONDS = forks.WAIT_SECONDS = 0.05
gcctl.install("production")
inside, over = threading.Event(), threading.Event()
class Slow:
    def __init__(self):
        self.me = self
    def __del__(self):
        inside.set()
        over.wait(60)
Slow()
thread = threading.Thread(target=gc.collect)
thread.start()
inside.wait()
with frozen("2030-01-01"):
    pid = os.fork()
    if not pid:
        os._exit(0)
    print(os.waitpid(pid, 0)[1])
over.set()
thread.join()
"""
    assert run_program(library + source, tmp_path) == "0\n"
