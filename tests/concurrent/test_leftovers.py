"""Nothing of a concurrent collection stays behind, whatever happens to it."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import windows
from processes import in_child, run_program, wait_until
from windows import allocator, answer, collected, descriptors, stopped_child

import gcctl
from gcctl._concurrent.collection import ConcurrentCollection
from gcctl._concurrent.coordinator import coordinator
from gcctl._concurrent.feasibility import Feasibility

POINTER = ctypes.sizeof(ctypes.c_void_p)
TIMES = int(os.environ.get("CONCURRENT_COLLECTIONS", "200"))

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def children_are_gone(but: set[int]) -> bool:
    """On a busy machine those that were killed take their time."""
    coordinator.wait_for_children()
    return windows.children() <= but


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if windows.fallback():
        pytest.skip(str(windows.fallback()))
    monkeypatch.setattr(Feasibility, "why_not", lambda *expected: "")
    gc.disable()
    before = allocator(), descriptors(), windows.children()
    yield
    tracemalloc.stop()
    gc.enable()
    wait_until(lambda: children_are_gone(before[2]))
    assert (allocator(), descriptors(), windows.children()) == before


class Cycle:
    def __init__(self) -> None:
        self.me = self


def dead_cycle() -> weakref.ref[Cycle]:
    """So old that only a full collection frees it."""
    cycle = Cycle()
    gc.collect(1)
    return weakref.ref(cycle)


def test_many_collections_leave_nothing_behind(tmp_path: Path) -> None:
    """No descriptor, no child, no mapping, no memory; counted in a process of its own."""
    source = f"""
        import gc, json, os, sys
        sys.path.insert(0, {str(Path(windows.__file__).parent)!r})
        import gcctl, windows

        windows.always_feasible()

        def state():
            with open("/proc/self/maps") as maps:
                mappings = [line for line in maps if "[heap]" not in line]
            return [
                windows.descriptors(), windows.unreaped(), list(windows.allocator())
            ], len(mappings)

        def collections(times):
            for number in range(times):
                me = []
                me.append(me)
                del me
                handle = gcctl.collect_concurrently()
                if number % 3:
                    windows.answer(handle)
                if number % 7:
                    windows.answer(handle).finish()
                    assert handle.outcome == "collected", handle.outcome
                del handle

        def blocks():
            gc.collect()
            return sys.getallocatedblocks()

        gc.disable()
        collections(100)
        before = *state(), blocks()
        collections({TIMES})
        print(json.dumps([before, [*state(), blocks()]]))
        """
    found = json.loads(run_program(source, tmp_path))
    (before, mappings, blocks), (after, mappings_after, blocks_after) = found
    assert after == before
    assert mappings_after - mappings < 5  # Python's own allocator may ask for another arena
    assert blocks_after - blocks < max(150, TIMES // 5)


def test_a_child_that_is_killed_voids_the_collection() -> None:
    ballast = windows.bulk(300_000)
    dead = dead_cycle()
    with stopped_child(gcctl.collect_concurrently) as (handle, child):
        os.kill(child, signal.SIGKILL)
        os.kill(child, signal.SIGCONT)
        assert handle.finish() == 0
    assert handle.outcome == "void: the child was ended by SIGKILL"
    assert dead() is not None
    collected()
    assert dead() is None
    assert ballast


def test_a_child_that_crashes_voids_the_collection() -> None:
    """In the tp_traverse of somebody's type, which is told of a reference where there is none."""
    trap: list[Any] = [[]]
    dead = dead_cycle()
    gc.collect(1)  # else the young collection at the start would go there
    items = ctypes.c_void_p.from_address(id(trap) + list.__basicsize__ - 2 * POINTER)
    before, items.value = items.value, 8
    try:
        handle = answer(gcctl.collect_concurrently())
    finally:
        items.value = before
    answer(handle).finish()
    assert handle.outcome == "void: the child was ended by SIGSEGV"
    assert trap == [[]]
    collected()
    assert dead() is None


def test_a_child_that_is_killed_after_its_answer_does_no_harm() -> None:
    dead = dead_cycle()
    before = windows.children()
    handle = answer(gcctl.collect_concurrently())
    for child in windows.children() - before:
        os.kill(child, signal.SIGKILL)
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert dead() is None


def test_a_stopped_child_does_not_hold_up_boundaries() -> None:
    ballast = windows.bulk(300_000)
    gcctl.install("off")
    gc.disable()
    with stopped_child(gcctl.collect_concurrently) as (handle, _):
        began = time.monotonic()
        for _ in range(1000):
            gcctl.tick()
        assert time.monotonic() - began < 1
        assert windows.runs(handle)
        gcctl.uninstall()
        assert handle.outcome == "void: gcctl was uninstalled"
        assert handle.finish() == 0
    assert ballast


def test_a_handle_that_nobody_holds_takes_its_child_along() -> None:
    ballast = windows.bulk(300_000)
    before = windows.children()
    with stopped_child(gcctl.collect_concurrently) as (handle, child):
        del handle
        wait_until(lambda: windows.state_of(child) in ("", "T"))
    collected()
    assert windows.children() == before
    assert ballast


def test_a_full_collection_in_the_window_voids_it() -> None:
    handle = gcctl.collect_concurrently()
    gc.collect()
    answer(handle).finish()
    assert handle.outcome == "void: another full collection came in between"


def test_a_full_collection_after_the_answer_voids_it() -> None:
    dead = [dead_cycle() for _ in range(100)]
    handle = answer(gcctl.collect_concurrently())
    gc.collect()
    assert all(ref() is None for ref in dead)
    assert handle.finish() == 0
    assert str(handle.outcome).startswith("void")


# tracemalloc wraps the allocator that the window has wrapped.


@pytest.mark.parametrize("answered", [False, True])
def test_tracing_started_in_the_window(answered: bool) -> None:
    before = allocator()
    handle = gcctl.collect_concurrently()
    if answered:
        answer(handle)
    tracemalloc.start()
    answer(handle).finish()
    assert str(handle.outcome).startswith("void: the object allocator")
    again = collected()
    assert again.outcome == "collected"
    tracemalloc.stop()
    collected()
    assert allocator() == before


@pytest.mark.parametrize("answered", [False, True])
def test_tracing_stopped_in_the_window(answered: bool) -> None:
    before = allocator()
    tracemalloc.start()
    handle = gcctl.collect_concurrently()
    if answered:
        answer(handle)
    tracemalloc.stop()
    assert allocator() == before
    answer(handle).finish()
    assert str(handle.outcome).startswith("void: the object allocator")
    collected()
    assert allocator() == before


def test_tracing_stopped_and_started_in_the_window() -> None:
    before = allocator()
    tracemalloc.start()
    traced = allocator()
    handle = gcctl.collect_concurrently()
    tracemalloc.stop()
    tracemalloc.start()
    answer(handle).finish()
    assert str(handle.outcome).startswith("void: the object allocator")
    assert allocator() == traced
    tracemalloc.stop()
    assert allocator() == before


def test_tracing_started_and_stopped_in_the_window() -> None:
    """All that is freed in between is seen: tracemalloc passes it on."""
    before = allocator()
    dead = dead_cycle()
    handle = gcctl.collect_concurrently()
    tracemalloc.start()
    tracemalloc.stop()
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert dead() is None
    assert allocator() == before


def test_tracing_over_many_windows_does_not_pile_up() -> None:
    before = allocator()
    for number in range(60):
        handle = gcctl.collect_concurrently()
        (tracemalloc.stop if tracemalloc.is_tracing() else tracemalloc.start)()
        if number % 3 == 0:
            (tracemalloc.stop if tracemalloc.is_tracing() else tracemalloc.start)()
        answer(handle).finish()
        assert not str(handle.outcome).startswith("fallback"), number
    tracemalloc.stop()
    collected()
    assert allocator() == before


# Parents, threads and forks.

SLEEPER = """
    import gc, os, sys, time
    sys.path.insert(0, {support!r})
    import gcctl, windows
    gc.disable()
    ballast = windows.bulk({objects})
    def start():
        global handle
        handle = gcctl.collect_concurrently()
    {start}
    print(*windows.children(), flush=True)
    time.sleep(60)
"""


def start_sleeper(directory: Path, objects: int, start: str) -> tuple[Any, list[int]]:
    program = directory / "sleeper.py"
    support = str(Path(windows.__file__).parent)
    source = SLEEPER.format(support=support, objects=objects, start=start)
    program.write_text("\n".join(line[4:] for line in source.splitlines()))
    process = subprocess.Popen(
        [sys.executable, program], cwd=directory, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, [int(child) for child in process.stdout.readline().split()]


def test_a_child_goes_when_its_parent_is_killed(tmp_path: Path) -> None:
    process, children = start_sleeper(tmp_path, 2_000_000, "start()")
    with process:
        process.kill()
    assert children, "the child was faster"
    wait_until(lambda: not any(windows.state_of(child) in ("R", "S", "D") for child in children))


def test_a_stopped_child_goes_once_it_may_when_its_parent_is_killed(tmp_path: Path) -> None:
    process, children = start_sleeper(tmp_path, 2_000_000, "start()")
    with process:
        assert children, "the child was faster"
        for child in children:
            os.kill(child, signal.SIGSTOP)
        process.kill()
    for child in children:
        os.kill(child, signal.SIGCONT)
    wait_until(lambda: not any(windows.state_of(child) in ("R", "S", "D") for child in children))


def test_a_child_goes_on_when_the_thread_that_made_it_ends() -> None:
    ballast = windows.bulk(300_000)
    dead = dead_cycle()
    handles: list[Any] = []
    thread = threading.Thread(target=lambda: handles.append(gcctl.collect_concurrently()))
    thread.start()
    thread.join()
    answer(handles[0]).finish()
    assert handles[0].outcome == "collected"
    assert dead() is None
    assert ballast


def collects_concurrently() -> bool:
    dead = dead_cycle()
    collected()
    return dead() is None


@pytest.mark.parametrize("answered", [False, True])
def test_a_process_forked_in_the_window_collects_by_itself(answered: bool) -> None:
    ballast = windows.bulk(200_000)
    dead = dead_cycle()
    handle = gcctl.collect_concurrently()
    if answered:
        answer(handle)

    def forked() -> object:
        before = handle.outcome, handle.finish()
        return before, collects_concurrently(), dead() is None, windows.unreaped(), allocator()[3]

    own = in_child(forked)
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert dead() is None
    free = allocator()[3]
    assert own == f"(('void: the process was forked', 0), True, True, 0, {free})"
    assert ballast


def test_a_process_forked_while_the_child_is_stopped_does_not_touch_it() -> None:
    ballast = windows.bulk(300_000)
    with stopped_child(gcctl.collect_concurrently) as (handle, child):
        assert in_child(collects_concurrently) == "True"
        assert in_child(handle.finish) == "0"
        assert windows.state_of(child) == "T"
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert ballast


def test_programs_started_in_the_window_run() -> None:
    handle = gcctl.collect_concurrently()
    done = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
    assert done.stdout == "42\n"
    answer(handle).finish()
    assert handle.outcome == "collected"


def test_waiting_for_any_child_does_not_find_ours() -> None:
    ballast = windows.bulk(300_000)
    with stopped_child(gcctl.collect_concurrently) as (handle, _), pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert ballast


def test_no_signal_comes_when_the_child_ends() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: came.append(number))
    try:
        collected()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert came == []


@pytest.mark.parametrize("disposition", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_process_that_ignores_its_children_can_collect(disposition: signal.Handlers) -> None:
    before = signal.signal(signal.SIGCHLD, disposition)
    try:
        collected()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_somebody_else_may_reap_the_child() -> None:
    """A reaper of all children, clones included: it happens in init processes of containers."""
    dead = dead_cycle()
    before = windows.children()
    handle = gcctl.collect_concurrently()
    windows.hurry()
    for child in windows.children() - before:
        os.waitpid(child, windows.EVEN_CLONES)
    answer(handle).finish()
    assert handle.outcome == "collected"
    assert dead() is None


def test_signals_to_the_process_are_handled_in_the_window() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        handle = gcctl.collect_concurrently()
        os.kill(os.getpid(), signal.SIGUSR1)
        answer(handle).finish()
        assert handle.outcome == "collected"
        assert came == [signal.SIGUSR1]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_interpreter_may_end_in_the_window(tmp_path: Path) -> None:
    source = f"""
        import gc, sys
        sys.path.insert(0, {str(Path(windows.__file__).parent)!r})
        import gcctl, windows
        ballast = windows.bulk(500_000)
        me = []
        me.append(me)
        handle = gcctl.collect_concurrently()
        print("end")
        """
    assert run_program(source, tmp_path) == "end\n"


def test_an_interpreter_may_end_in_the_middle_of_a_sweep(tmp_path: Path) -> None:
    source = """
        import gcctl, threading, time
        class Cycle:
            def __init__(self):
                self.me = self
        cycles = [Cycle() for _ in range(100_000)]
        gcctl.install("off")
        del cycles
        handle = gcctl.collect_concurrently()
        while not handle.ready:
            time.sleep(0.001)
        gcctl.tick()
        print("end")
        """
    assert run_program(source, tmp_path) == "end\n"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="no such module")
@pytest.mark.parametrize("answered", [False, True])
def test_another_interpreter_in_the_window(answered: bool, tmp_path: Path) -> None:
    source = f"""
        import gc, sys
        sys.path.insert(0, {str(Path(windows.__file__).parent)!r})
        import _interpreters, gcctl, windows
        windows.always_feasible()
        gc.disable()
        for isolated in (True, False):
            handle = gcctl.collect_concurrently()
            if {answered}:
                windows.answer(handle)
            other = _interpreters.create("isolated" if isolated else "legacy")
            _interpreters.run_string(other, "import gc; x = []; x.append(x); del x; gc.collect()")
            handle.finish()
            print(handle.outcome)
            _interpreters.destroy(other)
            print(windows.collected().outcome)
        """
    found = run_program(source, tmp_path).splitlines()
    assert found[0].startswith("void")
    assert found[1:] == [found[0], "collected", found[0], "collected"][1:]


def test_little_address_space_is_no_crash(tmp_path: Path) -> None:
    source = f"""
        import gc, logging, resource, sys
        sys.path.insert(0, {str(Path(windows.__file__).parent)!r})
        import gcctl, windows
        logging.disable()
        windows.always_feasible()
        gcctl.collect_concurrently().finish()  # imports what it needs
        with open("/proc/self/statm") as stream:
            used = int(stream.read().split()[0]) * resource.getpagesize()
        outcomes = set()
        for mib in range(0, 120, 3):
            resource.setrlimit(resource.RLIMIT_AS, (used + mib * 2**20, -1))
            handle = windows.answer(gcctl.collect_concurrently())
            handle.finish()
            outcomes.add(handle.outcome.split(":")[0])
        print(*sorted(outcomes))
        """
    assert run_program(source, tmp_path) in ("collected fallback void\n", "collected fallback\n")


def test_a_lock_that_another_thread_holds_in_malloc_stops_no_child(tmp_path: Path) -> None:
    """It is never released in the child: there no other thread is."""
    source = f"""
        import gc, os, sqlite3, sys, threading, time
        sys.path.insert(0, {str(Path(windows.__file__).parent)!r})
        import gcctl, windows
        windows.always_feasible()
        gc.disable()

        def allocate():
            database = sqlite3.connect(":memory:", check_same_thread=False)
            many = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3000)"
            while True:
                database.execute(many + "SELECT group_concat(i || 'x') FROM r ORDER BY i")

        class Node:
            pass

        def garbage():
            nodes = []
            for number in range(100):
                node = Node()  # its attributes are in no dict yet
                node.me = node
                node.a = [node]
                node.b = {{"\\u00e9" * number + str(time.monotonic_ns()): node}}
                nodes.append(node)
            gc.collect(1)

        threading.Thread(target=allocate, daemon=True).start()
        for number in range(60):
            garbage()
            handle = gcctl.collect_concurrently()
            deadline = time.monotonic() + 20
            while handle.outcome is None:
                windows.hurry()
                if handle.ready:
                    handle._step()
                time.sleep(0.0003)
                if time.monotonic() > deadline:
                    print("stuck in", number, flush=True)
                    os._exit(1)
        print("end", flush=True)
        os._exit(0)
        """
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "end\n", done.stdout + done.stderr


def test_threads_of_all_kinds_in_the_window() -> None:
    """Threads that start it, sweep it, finish it and read it, all at once."""
    gcctl.install("off")
    gc.disable()
    failures: list[str] = []
    stop = time.monotonic() + 2
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def act(number: int) -> None:
        while time.monotonic() < stop:
            Cycle()
            handle = gcctl.collect_concurrently()
            if number == 0:
                windows.hurry()
                answer(handle).finish()
                if handle.outcome not in ("collected", "void: gcctl was uninstalled"):
                    failures.append(str(handle.outcome))
            elif number == 1:
                gcctl.tick()
            else:
                assert handle.ready in (True, False)
                time.sleep(0)

    threads = [threading.Thread(target=act, args=(i % 3,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    gcctl.uninstall()
    assert failures == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ended", marks=pytest.mark.slow),  # has the most steps by far
        "sweep_step",
        pytest.param("_step_while_needed", marks=pytest.mark.slow),
    ],
)
def test_one_that_another_thread_begins_at_any_step_of_the_end_of_one(name: str) -> None:
    """At each opcode in turn. It is the one that runs then, and boundaries take it to its end."""
    gcctl.install("off")
    begun: list[ConcurrentCollection] = []
    opcodes = tried = 0

    def start() -> None:
        begun.append(gcctl.collect_concurrently())

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal opcodes
        if frame.f_code.co_name != name or begun:
            return None
        frame.f_trace_opcodes = True
        opcodes += event == "opcode"
        if opcodes > tried:
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
        return trace

    while True:
        opcodes = 0
        first = gcctl.collect_concurrently()
        windows.hurry()
        answer(first)
        sys._getframe().f_trace_opcodes = True  # else 3.12 has none the first time
        sys.settrace(trace)
        try:
            while first.outcome is None:
                gcctl.tick()
            gcctl.tick()
        finally:
            sys.settrace(None)
        if not begun:
            break
        second = begun.pop()
        assert second is first or coordinator.running is second
        windows.hurry()
        while second.outcome is None:
            gcctl.tick()
        assert (first.outcome, second.outcome) == ("collected", "collected")
        tried += 1
    assert tried > 3
    assert gcctl.stats().concurrent.fallbacks == 0
    gcctl.uninstall()
