"""The work of boundaries while none comes: where it is done, and by whom."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import needs_fork, run_program
from program_parts import WAITING

from gcctl._concurrent.coordinator import coordinator
from gcctl._interpreter.asking import asks

ASKS = pytest.mark.skipif(not asks(), reason="this process cannot ask its main thread")
CONCURRENT = pytest.mark.skipif(bool(coordinator.missing), reason="full collections stop the world")

NODE = """
from gcctl._interpreter import mechanisms
def frozen():
    # More than what gcctl itself consists of.
    compiled = mechanisms.compiled
    return (compiled.frozen_objects() if compiled else gc.get_freeze_count()) > 9000

import asyncio, gc, os, sys, threading, time
import gcctl

threads = []

class Node:
    def __init__(self):
        self.me = self

    def __del__(self):
        threads.append(threading.current_thread() is threading.main_thread())

def tick(times=5):
    for _ in range(times):
        time.sleep(0.01)
        gcctl.tick()

"""


def run(source: str, directory: Path) -> str:
    return run_program(WAITING + NODE + source, directory)


@ASKS
class TestTheMainThread:
    def test_collects_when_it_is_asked(self, tmp_path: Path) -> None:
        source = """
leave = threading.Event()
threading.Thread(target=leave.wait).start()
gcctl.install(check_interval="1ms")
tick()
Node()
wait_until(lambda: threads)
leave.set()
print(threads)
"""
        assert run(source, tmp_path) == "[True]\n"

    def test_does_nothing_when_it_answers_late(self, tmp_path: Path) -> None:
        """It was asleep: what wakes it may be a request."""
        source = """
gcctl.install(check_interval="1ms")
tick()
Node()
time.sleep(0.5)
print(threads)
wait_until(lambda: threads)  # it is asked again
"""
        assert run(source, tmp_path) == "[]\n"

    def test_does_nothing_in_a_request(self, tmp_path: Path) -> None:
        source = """
gcctl.install(check_interval="1ms")
tick()
with gcctl.request():
    Node()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    print(threads, gc.get_threshold()[0] <= 2000)
tick()
wait_until(lambda: threads)
"""
        assert run(source, tmp_path) == "[] True\n"

    def test_does_nothing_in_a_collection(self, tmp_path: Path) -> None:
        source = """
gcctl.install(check_interval="1ms")
tick()

class Slow:
    def __init__(self):
        self.me = self

    def __del__(self):
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            Node()
        print(threads)

Slow()
gc.collect()
wait_until(lambda: threads)
print(all(threads), gcctl.stats().faults)
"""
        assert run(source, tmp_path) == "[]\nTrue 0\n"

    def test_one_that_never_answers_again_leaves_everything_to_automatic_gc(
        self, tmp_path: Path
    ) -> None:
        source = """
from gcctl._auto import checks
checks.SILENT_NS = 10**9
own = gc.get_threshold()
kept = [[] for _ in range(10_000)]
gcctl.install()
found = []
def work():
    until = time.monotonic() + 60
    while frozen() and time.monotonic() < until:
        for _ in range(30_000):
            cycle = []
            cycle.append(cycle)
    found.append((frozen(), gc.get_threshold() == own))
thread = threading.Thread(target=work)
thread.start()
thread.join()
def tenured():
    for _ in range(30_000):
        cycle = []
        cycle.append(cycle)
    return frozen()
wait_until(tenured)  # it answers
gcctl.uninstall()
print(found, gcctl.stats().faults)
"""
        assert run(source, tmp_path) == "[(False, True)] 0\n"

    def test_a_request_without_end_is_no_place_for_it_either(self, tmp_path: Path) -> None:
        source = """
from gcctl._auto import checks
checks.SILENT_NS = 10**9
own = gc.get_threshold()
gcctl.install(check_interval="1ms")
tick()
dead = Node()
for _ in range(3):
    gc.collect(1)
with gcctl.request():
    del dead
    until = time.monotonic() + 60
    while not threads and time.monotonic() < until:
        kept = [[] for _ in range(100_000)]
    print(threads, gc.get_threshold() == own)
tick()
print(gc.get_threshold()[2] > 10**6, gcctl.stats().faults)
"""
        assert run(source, tmp_path) == "[True] True\nTrue 0\n"

    def test_the_thread_that_asks_is_there_only_while_something_is_owed(
        self, tmp_path: Path
    ) -> None:
        source = """
gcctl.install(check_interval="1ms")
tick()
print(native_threads())
wait_until(lambda: native_threads() == 1)
tick()
gcctl.uninstall()
print(native_threads())
"""
        assert run(source, tmp_path) == "2\n1\n"

    @needs_fork
    def test_a_forked_child_is_asked_too(self, tmp_path: Path) -> None:
        source = """
import warnings
warnings.simplefilter("error")
gcctl.install(check_interval="1ms")
tick()
pid = os.fork()
if not pid:
    tick()
    Node()
    wait_until(lambda: threads)
    gcctl.uninstall()
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
        assert run(source, tmp_path) == "0\n"


LOOPS = [
    "asyncio.run",
    pytest.param(
        "uvloop.run",
        marks=pytest.mark.skipif(not find_spec("uvloop"), reason="uvloop is not installed"),
    ),
]


class TestAnEventLoop:
    @pytest.mark.parametrize("run_loop", LOOPS)
    def test_collects_in_its_own_thread_and_no_other_is_made(
        self, tmp_path: Path, run_loop: str
    ) -> None:
        """Also beside an idle thread of an executor."""
        module = run_loop.partition(".")[0]
        source = f"""
import {module}

async def serve():
    gcctl.install(check_interval="1ms")
    await asyncio.get_running_loop().run_in_executor(None, int)
    for _ in range(5):
        await asyncio.sleep(0.01)
        gcctl.tick()
    Node()
    native = native_threads()
    for _ in range(1000):
        if threads:
            break
        await asyncio.sleep(0.01)
    print(threads, native)

{run_loop}(serve())
"""
        assert run(source, tmp_path) == "[True] 2\n"

    def test_may_run_in_another_thread(self, tmp_path: Path) -> None:
        source = """
async def serve():
    for _ in range(5):
        await asyncio.sleep(0.01)
        gcctl.tick()
    Node()
    for _ in range(1000):
        if threads:
            break
        await asyncio.sleep(0.01)
    print(threads)

gcctl.install(check_interval="1ms")
thread = threading.Thread(target=lambda: asyncio.run(serve()))
thread.start()
thread.join()
"""
        assert run(source, tmp_path) == "[False]\n"

    def test_may_be_in_debug_mode(self, tmp_path: Path) -> None:
        """There a loop says what is called in the wrong thread."""
        source = """
kept = [[] for _ in range(300_000)]

async def serve():
    gcctl.install(check_interval="1ms")
    for _ in range(5):
        await asyncio.sleep(0.01)
        gcctl.tick()
    for _ in range(1000):
        Node()
    for _ in range(1000):
        if len(threads) == 1000:
            break
        await asyncio.sleep(0.01)
    print(all(threads), gcctl.stats().faults)

asyncio.run(serve(), debug=True)
"""
        assert run(source, tmp_path) == "True 0\n"

    def test_a_timer_has_nothing_of_the_request(self, tmp_path: Path) -> None:
        source = """
import contextvars, weakref
variable = contextvars.ContextVar("variable")

async def request(seen):
    value = Node()
    variable.set(value)
    seen.append(weakref.ref(value))
    value.me = None
    gcctl.tick()

async def serve():
    gcctl.install(check_interval="1ms")
    seen = []
    for _ in range(5):
        await asyncio.sleep(0.01)
        await asyncio.create_task(request(seen))
        await asyncio.sleep(0)
        print(seen[-1]() is None, end=" ")

asyncio.run(serve())
"""
        assert run(source, tmp_path) == "True " * 5

    @ASKS
    def test_one_that_is_closed_is_no_hindrance(self, tmp_path: Path) -> None:
        source = """
async def serve():
    for _ in range(5):
        await asyncio.sleep(0.01)
        gcctl.tick()

gcctl.install(check_interval="1ms")
for _ in range(3):
    asyncio.run(serve())
tick()
Node()
wait_until(lambda: threads)
print(threads, gcctl.stats().faults)
"""
        assert run(source, tmp_path) == "[True] 0\n"

    def test_somebodys_own_kind_of_loop_is_no_hindrance(self, tmp_path: Path) -> None:
        source = """
class Loop:
    __slots__ = ()

asyncio._set_running_loop(Loop())
gcctl.install(check_interval="1ms")
tick()
asyncio._set_running_loop(None)
print(gcctl.stats().faults)
"""
        assert run(source, tmp_path) == "0\n"
