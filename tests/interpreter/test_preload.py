"""A master that freezes what it has loaded, and the processes that it forks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from concurrent_collections import concurrent_only
from processes import needs_fork, run_program

from gcctl._interpreter.collector import COLLECTOR

pytestmark = [
    needs_fork,
    pytest.mark.skipif(COLLECTOR == "free-threaded", reason="nothing is tenured there"),
    pytest.mark.skipif(sys.platform == "darwin", reason="forking with threads is unsafe on macOS"),
]

MASTER = """
import gc, os, sys, time, weakref
import gcctl
from gcctl._auto import debt
from gcctl._auto import full_collections
from gcctl._lifecycle.install import share_with_children
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.collection import ConcurrentCollection

debt.SHORTEST_NS = {1: 0, 2: 0}
full_collections.ROUTINE_NS = full_collections.QUIET_NS = 0

class Node:
    def __init__(self):
        self.me = self

def worker(work):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            sys.stdout.flush()
            status = 0
        finally:
            os._exit(status)
    assert not os.waitpid(pid, 0)[1]

def serve_until(done):
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        with gcctl.request():
            pass
        time.sleep(0.0005)

def install(**settings):
    return gcctl.install(check_interval="1ms", gc_budget=1.0, **settings)

heap = [[] for _ in range(10_000)]
"""


def run(source: str, directory: Path) -> list[str]:
    return run_program(MASTER + source, directory).splitlines()


def test_automatic_gc_is_off_in_the_master_only(tmp_path: Path) -> None:
    out = run(
        """
share_with_children()
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
worker(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))
share_with_children()
worker(lambda: print(gc.isenabled()))
worker(lambda: worker(lambda: print(gc.isenabled())))
""",
        tmp_path,
    )
    assert out == ["False True", "True True", "True", "True"]


def test_where_it_was_off_it_stays_off(tmp_path: Path) -> None:
    out = run(
        """
gc.disable()
share_with_children()
worker(lambda: print(gc.isenabled()))
""",
        tmp_path,
    )
    assert out == ["False"]


def test_garbage_of_the_master_is_not_frozen(tmp_path: Path) -> None:
    out = run(
        """
gone = []
for _ in range(2):
    dead = weakref.ref(Node())
    share_with_children()
    print(dead() is None)
""",
        tmp_path,
    )
    assert out == ["True", "True"]


@concurrent_only
def test_a_worker_tenures_and_thaws_nothing(tmp_path: Path) -> None:
    out = run(
        """
share_with_children()
before = gc.get_freeze_count()
def work():
    kept = [[] for _ in range(1000)]
    install()
    print(gc.get_freeze_count() > before + 1000, gcctl.stats().auto.tenured)
    gc.collect()
    print(gc.get_freeze_count() > before + 1000)
    gcctl.uninstall()
    print(gc.get_freeze_count() > before + 1000)
worker(work)
""",
        tmp_path,
    )
    assert out == ["True 1", "True", "True"]


@concurrent_only
def test_garbage_among_what_a_worker_has_tenured_is_found(tmp_path: Path) -> None:
    out = run(
        """
shared = Node()
share_with_children()
def work():
    global shared
    mine = Node()
    install()
    found = [weakref.ref(shared), weakref.ref(mine)]
    shared = mine = None
    gc.collect()
    print([ref() is None for ref in found])
    serve_until(lambda: not any(ref() for ref in found))
    print(gc.get_freeze_count() > 10_000)
worker(work)
""",
        tmp_path,
    )
    assert out == ["[False, False]", "True"]


@concurrent_only
def test_nothing_is_tenured_while_full_collections_stop_the_world(tmp_path: Path) -> None:
    """They do not see it, so its garbage would add up."""
    out = run(
        """
share_with_children()
def work():
    controller = install()
    controller._parts.auto.check(0)  # a boundary: a place that answers
    heap = controller._parts.auto.heap
    print(heap.tenure())
    heap.stop_the_world(0)
    print(heap.tenure())
    coordinator.start(0).finish()
    print(heap.tenure())
worker(work)
""",
        tmp_path,
    )
    assert out == ["True", "False", "True"]


def test_nothing_is_tenured_where_full_collections_always_stop_the_world(tmp_path: Path) -> None:
    out = run(
        """
share_with_children()
def work():
    before = gc.get_freeze_count()
    install(full_collection="stop")
    mine = weakref.ref(Node())
    serve_until(lambda: mine() is None)
    print(gc.get_freeze_count() <= before, gcctl.stats().auto.tenured)
worker(work)
""",
        tmp_path,
    )
    assert out == ["True 0"]


def test_where_gcctl_is_installed_it_has_its_own_way(tmp_path: Path) -> None:
    out = run(
        """
gcctl.install("off")
print(share_with_children(), gc.get_freeze_count() > 10_000, gc.isenabled())
""",
        tmp_path,
    )
    assert out == ["False False True"]
