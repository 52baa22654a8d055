"""What somebody else has frozen stays frozen; who thaws it gets it thawed.

Frozen garbage shows it: it is there as long as nobody thaws it, for no collection goes through it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from as_python import assert_as_python
from processes import PATIENCE_SECONDS, run_program

from gcctl._concurrent.coordinator import coordinator
from gcctl._interpreter.collector import COLLECTOR
from gcctl._process import twins

pytestmark = pytest.mark.skipif(
    COLLECTOR == "free-threaded", reason="to freeze takes time for each object there"
)
TENURES = pytest.mark.skipif(
    bool(coordinator.missing) or twins.core.implementation != "c",
    reason="nothing is tenured on top of what others froze where full collections stop the world",
)

BEGINNING = """
import gc, threading, time, weakref
import gcctl


class Node:
    def __init__(self):
        self.itself = self


def garbage():
    node = Node()
    return weakref.ref(node)


def frozen_garbage():
    node = Node()
    gc.freeze()
    return weakref.ref(node)


def serve(requests=50):
    for _ in range(requests):
        with gcctl.request():
            [[number] for number in range(100)]
        time.sleep(0.001)


def serve_until(done, seconds=30):
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        serve(10)
    return bool(done())


def impatient():
    # Collections of older generations and full ones come as soon as they are wanted.
    from gcctl._auto import debt, full_collections
    debt.SHORTEST_NS = dict.fromkeys(debt.SHORTEST_NS, 0)
    full_collections.ROUTINE_NS = full_collections.QUIET_NS = 0


def times_tenured():
    return gcctl.stats().auto.tenured
"""

POLICIES = pytest.mark.parametrize("policy", ["auto", "production", "off"])


def run(program: str, directory: Path) -> str:
    return run_program(BEGINNING + program, directory)


class TestFrozenByTheProgram:
    @POLICIES
    @pytest.mark.parametrize("first", ["", "gc.collect()", "gc.collect(); serve()"])
    def test_while_gcctl_is_installed(self, policy: str, first: str, tmp_path: Path) -> None:
        program = f"""
gcctl.install({policy!r})
{first}
dead = frozen_garbage()
frozen = gc.get_freeze_count()
gcctl.uninstall()
gc.collect()
print(dead() is not None, gc.get_freeze_count() > frozen / 2 > 500)
"""
        assert run(program, tmp_path) == "True True\n"

    @POLICIES
    def test_before_gcctl_is_installed(self, policy: str, tmp_path: Path) -> None:
        program = f"""
dead = frozen_garbage()
frozen = gc.get_freeze_count()
gcctl.install({policy!r})
serve()
gc.collect()
print(dead() is not None, gc.get_freeze_count() > frozen / 2 > 500)
gcctl.uninstall()
gc.collect()
print(dead() is not None, gc.get_freeze_count() > frozen / 2 > 500)
"""
        assert run(program, tmp_path) == "True True\n" * 2

    @POLICIES
    def test_again_and_again(self, policy: str, tmp_path: Path) -> None:
        program = f"""
dead = [frozen_garbage()]
gcctl.install({policy!r})
for _ in range(5):
    serve(5)
    dead.append(frozen_garbage())
    gc.collect()
print([one() is not None for one in dead].count(False))
gcctl.uninstall()
gc.collect()
print([one() is not None for one in dead].count(False))
"""
        assert run(program, tmp_path) == "0\n0\n"

    @POLICIES
    def test_in_a_batch(self, policy: str, tmp_path: Path) -> None:
        program = f"""
gcctl.install({policy!r})
with gcctl.batch():
    dead = frozen_garbage()
print(dead() is not None)
gcctl.uninstall()
print(dead() is not None)
"""
        assert run(program, tmp_path) == "True\nTrue\n"

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_an_explicit_collection_goes_through_none_of_it(
        self, when: str, tmp_path: Path
    ) -> None:
        """It is told by what it finds, and costs what it costs without gcctl."""
        before, after = ("gcctl.install()", "")[:: 1 if when == "before" else -1]
        program = f"""
{before}
heap = [Node() for _ in range(5000)]
gc.collect()
gc.freeze()
{after}
del heap
for _ in range(3):
    node = garbage()
    print(gc.collect() < 100, node() is None)
"""
        assert run(program, tmp_path) == "True True\n" * 3

    def test_by_the_suite_that_runs_under_pytest(self, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text("""
import gc, sys, weakref

class Node:
    def __init__(self):
        self.itself = self

def pytest_collection_finish():
    gc.collect()
    node = Node()
    gc.freeze()
    sys.frozen_garbage = weakref.ref(node)
""")
        (tmp_path / "test_frozen.py").write_text("""
import gc, sys

def test_it():
    for _ in range(3):
        gc.collect()
        assert sys.frozen_garbage() is not None
    assert gc.get_freeze_count() > 1000
""")
        plugins = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest")
        command = [sys.executable, "-m", "pytest", *plugins, "--gcctl"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stdout


class TestThawedByTheProgram:
    def test_it_gets_everything(self, tmp_path: Path) -> None:
        program = """
kept = [Node() for _ in range(100)]
rings = [Node() for _ in range(100)]
gc.collect()  # a policy may tenure them now
del rings
gc.unfreeze()
print(gc.get_freeze_count(), sum(type(one) is Node for one in gc.get_objects()))
print(gc.collect(), sum(type(one) is Node for one in gc.get_objects()))
gc.freeze()
print(sum(type(one) is Node for one in gc.get_objects()))
gc.unfreeze()
print(gc.get_freeze_count(), sum(type(one) is Node for one in gc.get_objects()))
"""
        printed = assert_as_python(BEGINNING + program, tmp_path)
        assert printed.splitlines()[0] == "0 200"

    @TENURES
    @pytest.mark.parametrize("how", ["gc.unfreeze()", "gc.freeze(); gc.unfreeze()"])
    def test_the_policy_tenures_again(self, how: str, tmp_path: Path) -> None:
        program = f"""
impatient()
gcctl.install(check_interval="1ms", gc_budget=1.0)
print(serve_until(lambda: times_tenured() > 2))
for _ in range(3):
    {how}
    before = times_tenured()
    print(serve_until(lambda: times_tenured() > before))
print(gcctl.stats().faults)
"""
        assert run(program, tmp_path) == "True\n" * 4 + "0\n"


class TestTenureOnTop:
    """Where somebody else has frozen objects the policy works at full strength all the same."""

    @TENURES
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_objects_are_tenured(self, when: str, tmp_path: Path) -> None:
        install = 'gcctl.install(check_interval="1ms", gc_budget=1.0)'
        before, after = (install, "")[:: 1 if when == "before" else -1]
        program = f"""
impatient()
{before}
dead = frozen_garbage()
{after}
before = times_tenured()
print(serve_until(lambda: times_tenured() > before + 2), gcctl.stats().faults)
"""
        assert run(program, tmp_path) == "True 0\n"

    @TENURES
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_concurrent_collection_finds_what_is_garbage_there(
        self, when: str, tmp_path: Path
    ) -> None:
        before, after = ("gcctl.install()", "")[:: 1 if when == "before" else -1]
        program = f"""
{before}
dead = frozen_garbage()
kept = Node()
gc.freeze()
{after}
collection = gcctl.collect_concurrently()
collection.finish()
print(collection.outcome, dead() is None)
print(sum(one is kept for one in gc.get_objects()))
gcctl.uninstall()
print(sum(one is kept for one in gc.get_objects()))
"""
        assert run(program, tmp_path) == "collected True\n0\n0\n"


@pytest.mark.slow
def test_others_freeze_and_thaw_in_the_middle_of_everything(tmp_path: Path) -> None:
    program = """
import sys
sys.setswitchinterval(1e-6)
impatient()
gcctl.install(check_interval="1ms", gc_budget=1.0)
over = False

def meddle():
    while not over:
        gc.freeze()
        gc.unfreeze()
        gc.get_objects()
        gc.get_freeze_count()

threads = [threading.Thread(target=meddle) for _ in range(2)]
for thread in threads:
    thread.start()
kept = [Node() for _ in range(1000)]
until = time.monotonic() + 5
while time.monotonic() < until:
    serve(10)
    gc.collect()
over = True
for thread in threads:
    thread.join()
print(gcctl.stats().faults)
gcctl.uninstall()
gc.unfreeze()
print(gc.get_freeze_count(), sum(type(one) is Node for one in gc.get_objects()))
del kept
print(gc.collect() >= 1000, sum(type(one) is Node for one in gc.get_objects()))
"""
    assert run(program, tmp_path) == "0\n0 1000\nTrue 0\n"
