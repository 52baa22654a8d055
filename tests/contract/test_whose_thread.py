"""Finalizers and callbacks of a program run in threads of the program, and in no others.

Each program here leaves garbage that says where it was finalized. Then it waits, as a program does
that has nothing to do: the time in which gcctl works by itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from processes import GCCTL_RUN, run_program

from gcctl._process import twins

WITNESS = """
import asyncio, gc, os, signal, sqlite3, sys, threading, time, weakref
import gcctl

MADE = 3000
seen = []


class Witness:
    def __init__(self):
        self.itself = self

    def __del__(self):
        seen.append(threading.current_thread().name)


def leave_garbage():
    for _ in range(MADE):
        Witness()


def serve(requests=100):
    for _ in range(requests):
        with gcctl.request():
            pass
        time.sleep(0.002)


def wait(seconds=1.5):
    until = time.monotonic() + seconds
    while len(seen) < MADE and time.monotonic() < until:
        time.sleep(0.005)


def tell():
    gcctl.uninstall()
    gc.collect()
    print(len(seen) >= MADE, *sorted(set(seen)))
"""
"""The beginning of each program. `tell()` ends it."""

IN_MAIN = "True MainThread\n"

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals and processes")


class TestOneThread:
    """A program that has made no thread sees everything in its only one."""

    @pytest.mark.parametrize("policy", ["auto", "production", "off"])
    def test_between_requests(self, policy: str, tmp_path: Path) -> None:
        program = f"gcctl.install({policy!r}); serve(); leave_garbage(); wait(); tell()"
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    @pytest.mark.parametrize("policy", ["auto", "production"])
    def test_in_a_request_that_does_not_end(self, policy: str, tmp_path: Path) -> None:
        program = f"""
gcctl.install({policy!r})
serve()
with gcctl.request():
    leave_garbage()
    ballast = bytearray(64 * 2**20)
    wait()
tell()
"""
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    def test_that_marks_no_requests(self, tmp_path: Path) -> None:
        program = """
for _ in range(40):
    leave_garbage()
    time.sleep(0.02)
tell()
"""
        assert run_program(WITNESS + program, tmp_path, words=GCCTL_RUN) == IN_MAIN

    def test_whose_cyclic_garbage_is_profiled(self, tmp_path: Path) -> None:
        words = (*GCCTL_RUN, "--cycles")
        program = "leave_garbage(); wait(); tell()"
        assert run_program(WITNESS + program, tmp_path, words=words) == IN_MAIN

    @pytest.mark.parametrize("policy", ["auto", "production"])
    def test_in_a_batch_over_its_memory_limit(self, policy: str, tmp_path: Path) -> None:
        program = f"""
gcctl.install({policy!r}, memory_limit="1MiB", check_interval="10ms")
with gcctl.batch():
    leave_garbage()
    wait()
tell()
"""
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    def test_at_the_deadline_of_a_section(self, tmp_path: Path) -> None:
        """Whoever switches automatic GC on again may be the next to allocate, and so to collect."""
        program = """
with gcctl.hold(deadline="20ms"):
    leave_garbage()
    wait(0.5)
tell()
"""
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    def test_at_a_concurrent_collection(self, tmp_path: Path) -> None:
        program = """
rings = [Witness() for _ in range(MADE)]
gcctl.install(check_interval="1ms", gc_budget=1.0)
del rings  # tenured by now
gcctl.collect_concurrently()
wait()
tell()
"""
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    @pytest.mark.parametrize("policy", ["auto", "production"])
    def test_callbacks_of_weak_references_and_of_the_collector(
        self, policy: str, tmp_path: Path
    ) -> None:
        program = f"""
def note(*arguments):
    seen.append(threading.current_thread().name)

class Ring:
    def __init__(self):
        self.itself = self

gcctl.install({policy!r})
gc.callbacks.append(note)
serve()
kept = [weakref.ref(Ring(), note) for _ in range(MADE)]
wait()
gc.callbacks.remove(note)
tell()
"""
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    @pytest.mark.parametrize("policy", ["auto", "production"])
    def test_objects_that_belong_to_a_thread_are_closed_in_it(
        self, policy: str, tmp_path: Path
    ) -> None:
        program = f"""
refused = []
sys.unraisablehook = lambda what: refused.append(str(what.exc_value))

class Session(Witness):
    def __init__(self):
        super().__init__()
        self.database = sqlite3.connect(":memory:")

    def __del__(self):
        super().__del__()
        self.database.close()

MADE = 100
gcctl.install({policy!r})
serve()
for _ in range(MADE):
    Session()
wait()
tell()
print(refused)
"""
        assert run_program(WITNESS + program, tmp_path) == f"{IN_MAIN}[]\n"


THREADS_BESIDE = {
    "alone": "pass",
    "executor": "await asyncio.get_running_loop().run_in_executor(None, int)",
    "name resolver": 'await asyncio.get_running_loop().getaddrinfo("localhost", 80)',
}


class TestEventLoops:
    """What belongs to an event loop is finalized in its thread, whoever sleeps beside it."""

    @pytest.mark.parametrize("beside", THREADS_BESIDE)
    @pytest.mark.parametrize("marks", [True, False], ids=["requests", "no requests"])
    def test_finalizers(self, beside: str, marks: bool, tmp_path: Path) -> None:
        program = f"""
async def main():
    gcctl.install()
    {THREADS_BESIDE[beside]}
    for _ in range(50):
        if {marks}:
            with gcctl.request():
                pass
        await asyncio.sleep(0.002)
    leave_garbage()
    until = time.monotonic() + 1.5
    while len(seen) < MADE and time.monotonic() < until:
        await asyncio.sleep(0.005)
    gcctl.uninstall()

asyncio.run(main())
tell()
"""
        assert run_program(WITNESS + program, tmp_path) == IN_MAIN

    @pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
    def test_streams_that_nobody_closed(self, debug: bool, tmp_path: Path) -> None:
        """In debug mode transports refuse to be used in another thread."""
        program = f"""
import warnings
warnings.simplefilter("ignore", ResourceWarning)
refused = []
sys.unraisablehook = lambda what: refused.append(repr(what.exc_value))

class Client(Witness):
    def __init__(self, streams):
        super().__init__()
        self.streams = streams

async def answer(reader, writer):
    await reader.read(1)
    writer.close()

MADE = 50

async def main():
    gcctl.install()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    {THREADS_BESIDE["name resolver"]}
    for _ in range(MADE):
        with gcctl.request():
            Client(await asyncio.open_connection("127.0.0.1", port))
    until = time.monotonic() + 1.5
    while len(seen) < MADE and time.monotonic() < until:
        await asyncio.sleep(0.005)
    gcctl.uninstall()
    gc.collect()
    server.close()

asyncio.run(main(), debug={debug})
tell()
print(refused)
"""
        assert run_program(WITNESS + program, tmp_path) == f"{IN_MAIN}[]\n"


class TestThreads:
    """A program with threads sees everything in one of those."""

    @pytest.mark.parametrize("marks", [True, False], ids=["requests", "no requests"])
    def test_while_the_main_thread_joins_them(self, marks: bool, tmp_path: Path) -> None:
        program = f"""
gcctl.install()

def work():
    for _ in range(20):
        if {marks}:
            serve(1)
        leave_garbage()
        time.sleep(0.02)

workers = [threading.Thread(target=work, name=f"worker {{number}}") for number in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
strangers = set(seen) - {{"MainThread", "worker 0", "worker 1"}}
seen.clear()
leave_garbage()
tell()
print(strangers)
"""
        assert run_program(WITNESS + program, tmp_path) == f"{IN_MAIN}set()\n"

    def test_while_all_of_them_sleep(self, tmp_path: Path) -> None:
        program = """
gcctl.install()

def work():
    serve()
    leave_garbage()
    time.sleep(1)

worker = threading.Thread(target=work, name="worker")
worker.start()
worker.join()
strangers = set(seen) - {"MainThread", "worker"}
seen.clear()
leave_garbage()
tell()
print(strangers)
"""
        assert run_program(WITNESS + program, tmp_path) == f"{IN_MAIN}set()\n"


class TestWhatGcctlRuns:
    """gcctl has no thread that could execute code of the program."""

    @pytest.mark.skipif(
        twins.core.implementation != "c",
        reason="the pure-Python twin has no other thread to wait in than one of Python",
    )
    def test_no_thread_is_there_that_executes_python(self, tmp_path: Path) -> None:
        program = """
main = threading.get_ident()
strangers = set()

def see_threads(turns):
    for _ in range(turns):
        strangers.update(set(sys._current_frames()) - {main})
        time.sleep(0.002)

gcctl.install(memory_limit="1GiB", check_interval="10ms")
serve(10)
leave_garbage()
see_threads(100)
with gcctl.hold():
    see_threads(5)
with gcctl.batch():
    see_threads(5)
gcctl.collect_concurrently()
see_threads(20)
gcctl.uninstall()
print(len(strangers))
"""
        assert run_program(WITNESS + program, tmp_path) == "0\n"

    @posix
    def test_a_signal_that_the_program_has_blocked_waits_for_it(self, tmp_path: Path) -> None:
        program = """
gcctl.install(memory_limit="1GiB", check_interval="10ms")
serve(10)
with gcctl.hold(), gcctl.batch():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)
    print(signal.sigwait({signal.SIGTERM}).name)
"""
        assert run_program(WITNESS + program, tmp_path) == "SIGTERM\n"

    @posix
    @pytest.mark.skipif(sys.version_info < (3, 12), reason="Python warns from 3.12 on")
    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="counts before anybody can end one")
    def test_a_fork_is_not_warned_of_threads(self, tmp_path: Path) -> None:
        program = """
gcctl.install(memory_limit="1GiB", check_interval="10ms")
serve(10)
leave_garbage()
time.sleep(0.2)
pid = os.fork()
if not pid:
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
        assert run_program(WITNESS + program, tmp_path, words=("-W", "error")) == "0\n"
