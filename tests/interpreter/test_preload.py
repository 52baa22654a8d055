"""A master that freezes what it has loaded, and the processes that it forks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from concurrent_collections import concurrent_only
from processes import needs_fork, run_program
from program_parts import CHILD

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
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.collection import ConcurrentCollection

debt.SHORTEST_NS = {1: 0, 2: 0}
full_collections.ROUTINE_NS = full_collections.QUIET_NS = 0

class Node:
    def __init__(self):
        self.me = self

worker = child

def serve_until(done):
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        with gcctl.request():
            pass
        time.sleep(0.0005)

def install(**settings):
    return gcctl.install(check_interval="1ms", gc_budget=1.0, **settings)

from gcctl._interpreter import mechanisms
def frozen_objects():
    compiled = mechanisms.compiled
    return compiled.frozen_objects() if compiled else gc.get_freeze_count()

heap = [[] for _ in range(10_000)]
share_with_children = gcctl.share_with_children
"""


def run(source: str, directory: Path) -> list[str]:
    return run_program(CHILD + MASTER + source, directory).splitlines()


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
def test_a_worker_tenures_and_thaws_its_own_objects_only(tmp_path: Path) -> None:
    out = run(
        """
share_with_children()
before = frozen_objects()
def work():
    kept = [[] for _ in range(1000)]
    install()
    print(frozen_objects() > before + 1000, gcctl.stats().auto.tenured)
    gc.collect()
    print(frozen_objects() > before + 1000)
    gcctl.uninstall()
    print(before / 2 < frozen_objects() <= before)
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
    print(frozen_objects() > 10_000)
worker(work)
""",
        tmp_path,
    )
    assert out == ["[False, True]", "True"]


def test_where_gcctl_is_installed_it_has_its_own_way(tmp_path: Path) -> None:
    out = run(
        """
gcctl.install("off")
print(share_with_children(), gc.get_freeze_count() > 10_000, gc.isenabled())
""",
        tmp_path,
    )
    assert out == ["False False True"]


def test_a_second_call_freezes_what_has_come_since(tmp_path: Path) -> None:
    out = run(
        """
print(share_with_children())
before = gc.get_freeze_count()
more = [[] for _ in range(1000)]
print(share_with_children(), gc.get_freeze_count() > before + 900)
worker(lambda: print(gc.isenabled(), gc.get_freeze_count() > before + 900))
""",
        tmp_path,
    )
    assert out == ["True", "True True", "True True"]


def test_what_was_frozen_before_stays_frozen(tmp_path: Path) -> None:
    out = run(
        """
gc.freeze()
before = gc.get_freeze_count()
more = [[] for _ in range(1000)]
print(share_with_children(), gc.get_freeze_count() > before + 900)
def work():
    install()
    gcctl.uninstall()
    print(gc.get_freeze_count() > before + 900)
worker(work)
""",
        tmp_path,
    )
    assert out == ["True True", "True"]


def test_other_threads_may_run_meanwhile(tmp_path: Path) -> None:
    """A collection of theirs is waited for: until it is over, none runs that is asked for."""
    out = run(
        """
import threading
inside, over = threading.Event(), threading.Event()
class Slow(Node):
    def __del__(self):
        inside.set()
        over.wait(60)
Slow()
thread = threading.Thread(target=gc.collect)
thread.start()
inside.wait()
dead = weakref.ref(Node())
threading.Timer(0.1, over.set).start()
print(share_with_children(), dead() is None, gc.get_freeze_count() > 10_000)
thread.join()
""",
        tmp_path,
    )
    assert out == ["True True True"]


def test_switched_off_it_does_nothing(tmp_path: Path) -> None:
    out = run(
        """
os.environ["GCCTL_DISABLE"] = "1"
print(share_with_children(), gc.get_freeze_count() > 10_000, gc.isenabled())
""",
        tmp_path,
    )
    assert out == ["False False True"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's count of own memory")
def test_collections_of_a_child_of_the_forkserver_write_to_nothing_shared(tmp_path: Path) -> None:
    (tmp_path / "preloaded.py").write_text(
        "import gcctl\n"
        "catalogue = [{'number': [number]} for number in range(300_000)]\n"
        "gcctl.share_with_children()\n"
    )
    (tmp_path / "job.py").write_text(
        """
import gc
import gcctl

def own_bytes():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_D"))

def work():
    gcctl.install()
    before = own_bytes()
    for _ in range(50):
        with gcctl.request():
            [[number] for number in range(1000)]
    for _ in range(3):
        gc.collect()
    print(own_bytes() - before < 8 * 2**20, flush=True)
"""
    )
    source = """
import multiprocessing, os
os.environ["PYTHONPATH"] = os.getcwd()
if __name__ == "__main__":
    import job
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    process = context.Process(target=job.work)
    process.start()
    process.join()
"""
    assert run_program(source, tmp_path) == "True\n"
