"""Forked children: clean counters, working collectors, their own rollback."""

from __future__ import annotations

import gc
import sys
import threading
import time
from pathlib import Path

import pytest
from collecting import collector_works
from processes import in_child, needs_fork, run_program
from threads import switching_often

import gcctl
from gcctl._interpreter.forks import ForkGuard
from gcctl._process import twins

pytestmark = needs_fork


def counts() -> tuple[int, int, int]:
    stats = gcctl.stats()
    return stats.requests, stats.collections, stats.in_flight


def test_child_starts_with_clean_counters_and_goes_on_collecting() -> None:
    gcctl.install("instagram", gen0_every=2)
    for _ in range(5):
        gcctl.tick()

    def child() -> object:
        first = counts()
        for _ in range(4):
            with gcctl.request():
                pass
        return first, counts()

    assert in_child(child) == "((0, 0, 0), (4, 2, 0))"
    assert counts() == (5, 2, 0), "the parent's go on"


def test_child_can_roll_back_by_itself() -> None:
    gcctl.install("production")

    def child() -> object:
        gcctl.uninstall()
        return gc.isenabled(), gcctl.stats() == gcctl.Stats()

    assert in_child(child) == "(True, True)"
    assert not gc.isenabled()


def test_child_forked_inside_a_request_leaves_it_without_a_boundary() -> None:
    gcctl.install("production")

    def child() -> object:
        gcctl.request().__exit__(None, None, None)
        return counts()

    with gcctl.request():
        assert in_child(child) == "(0, 0, 0)"
    assert counts()[0] == 1


def test_child_can_install_where_the_parent_holds_the_lock() -> None:
    """A fork while another thread is inside install() or uninstall()."""
    inside, leave = threading.Event(), threading.Event()

    class Blocking:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            if not leave.is_set():
                inside.set()
                gate.acquire()

    gate = threading.Lock()
    gcctl.install(
        "production", max_pause="1h"
    )  # the log of another thread may be locked in the child
    Blocking()

    def child() -> object:
        gcctl.uninstall()
        return gc.isenabled()

    gate.acquire()
    thread = threading.Thread(target=gcctl.uninstall)
    thread.start()
    inside.wait()
    releaser = threading.Timer(0.3, gate.release)  # the fork waits for the final collection
    releaser.start()
    leave.set()
    assert in_child(child) == "True"
    thread.join()
    releaser.join()


@pytest.mark.parametrize("automatic", [True, False], ids=["theirs", "ours"])
def test_a_fork_waits_for_the_collection_of_another_thread(automatic: bool) -> None:
    """Without that, no collection ever runs in the child."""
    inside, forking = threading.Event(), threading.Event()
    finished: list[bool] = []

    class Slow:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            inside.set()
            forking.wait()
            time.sleep(0.1)
            finished.append(True)

    gcctl.install("off" if automatic else "instagram", max_pause="1h")
    Slow()
    thread = threading.Thread(target=gc.collect if automatic else gcctl.tick)
    thread.start()
    inside.wait()
    forking.set()
    assert in_child(lambda: (bool(finished), collector_works())) == "(True, True)"
    thread.join()


def test_a_finalizer_that_forks_does_not_wait_for_itself() -> None:
    answers: list[str] = []

    class Forking:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            if not answers:
                answers.append(in_child(lambda: "forked"))

    gcctl.install("production")
    with gcctl.request():
        Forking()
    assert answers == ["'forked'"]


def test_a_fork_is_not_held_up_when_the_end_of_a_collection_was_hidden() -> None:
    """A callback that removes itself makes CPython skip the next one: ours."""

    def once(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            gc.callbacks.remove(once)

    gc.callbacks.insert(0, once)
    gcctl.install("off")
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    assert in_child(collector_works) == "True"
    for _ in range(2):
        gcctl.tick()


def test_fork_without_install_is_untouched() -> None:
    gcctl.install("production")
    gcctl.uninstall()
    assert in_child(collector_works) == "True"


def test_in_flight_starts_at_zero_where_gcctl_was_never_installed(tmp_path: Path) -> None:
    out = run_program(
        """
        import os, gcctl
        with gcctl.request():
            pid = os.fork()
            if not pid:
                gcctl.install("production")
                print(gcctl.stats().in_flight, flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
        """,
        tmp_path,
    )
    assert out == "0\n"


def test_automatic_gc_is_on_again_after_a_fork() -> None:
    gcctl.install("off")
    assert in_child(gc.isenabled) == "True"
    assert gc.isenabled()


@pytest.mark.skipif(sys.platform == "darwin", reason="forking with threads is unsafe on macOS")
@pytest.mark.usefixtures("short_collections")
@pytest.mark.parametrize("policy", ["instagram", "off"])
def test_forks_in_a_storm_of_collections_all_have_working_collectors(policy: str) -> None:
    class Yielding:
        """Its finalizer lets the forking thread in, in the middle of a collection."""

        pending = 0

        def __init__(self) -> None:
            self.me = self
            Yielding.pending += 1

        def __del__(self) -> None:
            for _ in range(30):
                pass
            Yielding.pending -= 1

    gcctl.install(policy, gen1_every=None, gen2_every=None, gen0_every=1, max_pause="1h")
    thresholds = gc.get_threshold()
    gc.set_threshold(20, 10, 10)  # for automatic GC, where it is on
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with gcctl.request():
                if Yielding.pending < 20:  # else they are made faster than finalized
                    Yielding()

    threads = [threading.Thread(target=serve) for _ in range(2)]
    with switching_often():
        for thread in threads:
            thread.start()
        try:
            assert [in_child(collector_works) for _ in range(40)] == ["True"] * 40
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            gc.set_threshold(*thresholds)


def test_a_fork_begun_while_nothing_was_installed_lets_go_of_nobody_elses_hold() -> None:
    installed = True
    guard = ForkGuard(twins.core, lambda: installed)

    def fork() -> None:
        guard.before()
        guard.after_in_parent()

    guard.before()
    installed = False
    other = threading.Thread(target=fork)
    other.start()
    other.join()
    assert not gc.isenabled()
    guard.after_in_parent()
    assert gc.isenabled()
