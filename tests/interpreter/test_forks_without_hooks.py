"""Forks by C code, which run no hooks of Python: the child puts itself right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from concurrent_collections import concurrent_only
from processes import needs_fork, run_program
from program_parts import CHILD

from gcctl._process import twins

pytestmark = needs_fork

WAYS = ["fork", "clone"] if sys.platform == "linux" else ["fork"]
"""By the C library, as uWSGI forks, or by a system call, which does not even run handlers of C."""

PARENT = """
import ctypes, gc, os, sys, time, weakref
import gcctl

def by_the_c_library():
    return ctypes.PyDLL(None).fork()

def by_a_system_call():
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    return ctypes.PyDLL(None).syscall(number, 17, 0, 0, 0, 0)

def counts():
    stats = gcctl.stats()
    return stats.requests, stats.in_flight, stats.unmatched_exits

def serve(times):
    for _ in range(times):
        with gcctl.request():
            pass
"""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    name = {"fork": "by_the_c_library", "clone": "by_a_system_call"}[request.param]
    return f"{CHILD}{PARENT}\nFORK = {name}\n"


def test_the_child_counts_its_own_requests_from_the_first_on(way: str, tmp_path: Path) -> None:
    source = """
gcctl.install("production")
serve(3)
of_the_parent = gcctl.request()
of_the_parent.__enter__()
def work():
    one, other = gcctl.request(), gcctl.request()
    one.__enter__(), other.__enter__()
    one.__exit__(None, None, None)
    print(counts())
    other.__exit__(None, None, None)
    gcctl.tick()
    print(counts())
child(work)
print(counts())
"""
    assert run_program(way + source, tmp_path) == "(1, 1, 0)\n(3, 0, 0)\n(3, 1, 0)\n"


def test_the_child_may_ask_before_its_first_boundary(way: str, tmp_path: Path) -> None:
    source = """
gcctl.install("production")
gcctl.request().__enter__()
serve(3)
def work():
    with gcctl.request():
        print(counts())
    print(counts())
child(work)
"""
    assert run_program(way + source, tmp_path) == "(0, 1, 0)\n(1, 0, 0)\n"


def test_a_request_of_the_parent_has_no_boundary_in_the_child(way: str, tmp_path: Path) -> None:
    source = """
from gcctl._process.twins import core
gcctl.install("production")
entry = core.begin()
def work():
    print(entry.left)
    entry.leave()
    mine = core.begin()
    print(mine.left, core.in_flight())
    mine.leave()
    print(counts())
child(work)
print(entry.left, counts())
"""
    assert run_program(way + source, tmp_path) == "True\nFalse 1\n(1, 0, 0)\nFalse (0, 1, 0)\n"


def test_memory_and_advice_are_the_child_s(way: str, tmp_path: Path) -> None:
    source = """
gcctl.install("off", recycle_above="200MiB", recycle_jitter=0, check_interval="1ms")
serve(3)
rss = gcctl.stats().rss_bytes
def work():
    ballast = bytearray(300 * 2**20)
    until = time.monotonic() + 60
    while not gcctl.should_recycle() and time.monotonic() < until:
        serve(1)
        time.sleep(0.001)
    print(gcctl.should_recycle(), gcctl.stats().rss_bytes > rss + 250 * 2**20)
child(work)
print(gcctl.should_recycle())
"""
    assert run_program(way + source, tmp_path) == "True True\nFalse\n"


@pytest.mark.parametrize("policy", ["auto", "production"])
def test_a_full_collection_may_be_the_first_call(way: str, policy: str, tmp_path: Path) -> None:
    source = f"""
gcctl.install({policy!r}, full_collection="concurrent")
class Node:
    def __init__(self):
        self.me = self
def work():
    dead = weakref.ref(Node())
    gcctl.collect_concurrently().finish()
    print(dead() is None, gcctl.stats().requests)
    gcctl.uninstall()
    print(gc.isenabled())
child(work)
"""
    assert run_program(way + source, tmp_path) == "True 0\nTrue\n"


@concurrent_only
def test_a_collection_of_the_parent_is_void_in_the_child_only(way: str, tmp_path: Path) -> None:
    source = """
gcctl.install("production")
collection = gcctl.collect_concurrently()
def work():
    print(collection.finish(), collection.outcome.startswith("void"))
child(work)
def drop():
    global collection
    collection = None
child(drop)
collection.finish()
print(collection.outcome)
"""
    assert run_program(way + source, tmp_path) == "0 True\ncollected\n"


def test_what_held_automatic_gc_off_holds_it_in_the_parent_only(way: str, tmp_path: Path) -> None:
    source = """
def work():
    gcctl.tick()
    print(gc.isenabled())
with gcctl.batch():
    child(work)
with gcctl.hold():
    child(work)
def batch_of_its_own():
    with gcctl.batch():
        print(gc.isenabled())
        gcctl.tick()
        print(gc.isenabled())
    print(gc.isenabled())
with gcctl.batch():
    child(batch_of_its_own)
gcctl.share_with_children()
print(gc.isenabled())
child(work)
"""
    out = run_program(way + source, tmp_path).split()
    assert out == ["True", "True", "False", "False", "True", "False", "True"]


def test_a_child_of_the_child_is_another_process(way: str, tmp_path: Path) -> None:
    source = """
gcctl.install("production")
serve(3)
def work():
    serve(2)
    print(counts())
child(lambda: (work(), child(work)))
"""
    assert run_program(way + source, tmp_path) == "(2, 0, 0)\n(2, 0, 0)\n"


def test_each_step_runs_once_whoever_comes_first(way: str, tmp_path: Path) -> None:
    source = """
from gcctl._process.forked import in_child
ran = []
gcctl.install("production")
in_child(lambda: ran.append(os.getpid()))
def work():
    gcctl.stats(), serve(2)
    print(ran == [os.getpid()])
def with_hooks_at_last():
    work()
    ctypes.pythonapi.PyOS_AfterFork_Child()
    work()
def in_parts():
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = FORK()
    if pid:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return pid
child(with_hooks_at_last, in_parts)
child(work, os.fork)
print(ran)
"""
    assert run_program(way + source, tmp_path) == "True\nTrue\nTrue\n[]\n"


def test_a_step_that_fails_breaks_neither_the_request_nor_the_others(
    way: str, tmp_path: Path
) -> None:
    source = """
import logging
from gcctl._process.forked import in_child
logging.basicConfig(stream=sys.stdout, format="%(message)s")
in_child(lambda: 1 // 0)
in_child(lambda: print("the others"))
def work():
    with gcctl.request():
        print("request")
child(work)
"""
    out = run_program(way + source, tmp_path).splitlines()
    for line in ("request", "a part of gcctl has not followed a fork", "the others"):
        assert out.count(line) == 1


def test_counting_alone_follows_forks_too(way: str, tmp_path: Path) -> None:
    source = """
from gcctl._process.twins import core
gcctl.request().__enter__()
def work():
    gcctl.install("production")
    print(counts())
for fork in (FORK, os.fork):
    child(work, fork)
"""
    assert run_program(way + source, tmp_path) == "(0, 0, 0)\n(0, 0, 0)\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs seccomp")
def test_where_the_kernel_does_not_clear_the_page_fork_itself_does(tmp_path: Path) -> None:
    source = """
import struct
def refuse(number, argument, value):
    # A program of seccomp: the call with this argument gets EINVAL, others are allowed.
    def step(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    offset = 16 + 8 * argument
    steps = [
        step(0x20, 0, 0, 0), step(0x15, 0, 3, number),
        step(0x20, 0, 0, offset), step(0x15, 0, 1, value),
        step(0x06, 0, 0, 0x00050000 | 22), step(0x06, 0, 0, 0x7FFF0000),
    ]
    program = ctypes.create_string_buffer(b"".join(steps))
    class Filter(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    filter = Filter(len(steps), ctypes.addressof(program))
    assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, os.strerror(ctypes.get_errno())
    return program

import ctypes, os
refuse({"x86_64": 28, "aarch64": 233}[os.uname().machine], 2, 18)
"""
    parent = f"""
{CHILD}{PARENT}
FORK = by_the_c_library
gcctl.install("production")
gcctl.request().__enter__()
serve(3)
def work():
    serve(2)
    print(counts())
child(work)
"""
    assert run_program(source + parent, tmp_path) == "(2, 0, 0)\n"


@pytest.mark.skipif(twins.core.implementation != "c", reason="needs pending calls")
@pytest.mark.parametrize("policy", ["auto", "off"])
def test_a_child_that_has_no_requests_finds_out_when_it_collects(
    way: str, policy: str, tmp_path: Path
) -> None:
    source = f"""
gcctl.install({policy!r})
from gcctl._process.forked import in_child
ran = []
in_child(lambda: ran.append(1))
def work():
    until = time.monotonic() + 60
    kept = []
    while not ran and time.monotonic() < until:
        kept.append([])
    print(ran)
child(work)
"""
    assert run_program(way + source, tmp_path) == "[1]\n"
