"""Programs that broke what reaches into CPython once. Each ends as it would without gcctl."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path

import pytest
from processes import run_program

from gcctl._interpreter import mechanisms

pytestmark = pytest.mark.skipif(
    bool(mechanisms.missing("stand-ins")), reason="there are no stand-ins here"
)

FULL_WITHIN = """
import gc
import gcctl
{share}
kept = [[number] for number in range(20_000)]
gcctl.install({policy!r}, automatic_gc=True, thresholds=(5000, 0, 0))
hoard = []
gc.collect(1)
gc.collect(0)
while gc.get_count()[0] < 4999:
    hoard.append([])
gc.get_stats()
{call}  # up to 3.11, an automatic collection may come in the middle
print(len(gc.get_objects()) > 20_000)
gc.collect()
gcctl.uninstall()
gc.collect()
print(gc.get_freeze_count() {left}, len(kept))
"""


SHARE = """
shared = [[] for _ in range(20_000)]
gcctl.share_with_children()
"""


@pytest.mark.parametrize("policy", ["auto", "production"])
@pytest.mark.parametrize("call", ["gc.get_objects()", "gc.get_referrers(kept)"])
@pytest.mark.parametrize(
    "share", ["", "shared = [[] for _ in range(20_000)]\ngcctl.share_with_children()"]
)
def test_an_automatic_collection_in_the_middle_of_an_answer(
    policy: str, call: str, share: str, tmp_path: Path
) -> None:
    left = "> 20_000" if share else "< 1000"
    source = FULL_WITHIN.format(policy=policy, call=call, share=share, left=left)
    assert run_program(source, tmp_path) == "True\nTrue 20000\n"


def test_another_thread_collects_and_tenures_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    program = """
import gc, sys, threading
import gcctl
class Node: pass
inside, over = threading.Event(), threading.Event()
waits = []
def hook(name, arguments):
    if name == "gc.get_objects" and waits and threading.current_thread() is waiting:
        waits.pop()
        inside.set()
        over.wait(30)
sys.addaudithook(hook)
gcctl.install(check_interval="1ms")
nodes = [Node() for _ in range(30_000)]
for _ in range(5):
    gcctl.tick()
waiting = threading.Thread(target=gc.get_objects)
waits.append(1)
waiting.start()
inside.wait(30)
gc.collect()
gcctl.tick()
gc.get_freeze_count()
over.set()
waiting.join()
print(sum(type(each) is Node for each in gc.get_objects()))
gcctl.uninstall()
gc.collect()
print(sum(type(each) is Node for each in gc.get_objects()), gc.get_freeze_count() < 1000)
"""
    assert run_program(program, tmp_path) == "30000\n30000 True\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such timers here")
def test_what_a_signal_handler_raises_reaches_the_program(tmp_path: Path) -> None:
    program = """
import gc, signal, time
import gcctl
gcctl.install("off")
class TooLate(Exception): pass
raised = seen = 0
def handler(number, frame):
    global raised
    raised += 1
    raise TooLate
signal.signal(signal.SIGALRM, handler)
end = time.monotonic() + 1
while time.monotonic() < end:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.00003)
        for _ in range(40):
            gc.collect(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0)
    except TooLate:
        seen += 1
print(raised > 10, raised - seen)
"""
    assert run_program(program, tmp_path) == "True 0\n"


def test_threads_that_call_from_many_places(tmp_path: Path) -> None:
    program = """
import gc, threading, time
import gcctl
gcctl.install()
source = "".join(f"def call{number}():\\n    collect(0)\\n" for number in range(100))
errors = []
def work(number):
    names = {"collect": gc.collect}
    exec(compile(source, f"file{number}", "exec"), names)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for place in range(100):
            try:
                names[f"call{place}"]()
            except Exception as error:
                errors.append(error)
threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(errors[:3], len(gcctl.stats().explicit_callers))
"""
    assert run_program(program, tmp_path) == "[] 10\n"


def test_near_the_limit_of_recursion_it_collects_all_the_same(tmp_path: Path) -> None:
    program = """
import gc, sys
import gcctl
sys.setrecursionlimit(300)
def deepest():
    depth = 0
    def down(levels):
        return gc.collect(0) if not levels else down(levels - 1)
    while True:
        try:
            down(depth)
        except RecursionError:
            return depth
        depth += 1
before = deepest()
gcctl.install("off")
print(before - deepest() <= 3)
"""
    assert run_program(program, tmp_path) == "True\n"


def test_tracemalloc_that_comes_and_goes(tmp_path: Path) -> None:
    program = """
import os, threading, time, tracemalloc
import gcctl
gcctl.install()
def holds():
    while True:
        with gcctl.hold("1ms"):
            time.sleep(0.015)
for _ in range(2):
    threading.Thread(target=holds, daemon=True).start()
end = time.monotonic() + 3
while time.monotonic() < end:
    tracemalloc.start()
    tracemalloc.stop()
print("alive", flush=True)
os._exit(0)
"""
    assert run_program(program, tmp_path) == "alive\n"


@pytest.mark.skipif(
    not importlib.util.find_spec("_interpreters"), reason="no interpreters with a GIL of their own"
)
def test_other_interpreters_get_the_originals(tmp_path: Path) -> None:
    program = """
import gc, threading
import _interpreters
import gcctl
gcctl.install()
source = '''
import gc, time
end, errors = time.time() + 2, 0
while time.time() < end:
    for call in (lambda: gc.collect(7), lambda: gc.get_objects(generation=9)):
        try:
            call()
        except ValueError:
            errors += 1
'''
found = []
def work():
    other = _interpreters.create()
    found.append(_interpreters.exec(other, source))
    _interpreters.destroy(other)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
names = {}
exec(source, names)
for thread in threads: thread.join()
print(found, names["errors"] > 10)
"""
    assert run_program(program, tmp_path) == "[None, None] True\n"
