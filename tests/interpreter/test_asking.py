"""Asking the main thread: no code of the program runs in the thread that asks, and nobody notices
that thread."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from processes import needs_fork, run_program
from program_parts import WAITING

from gcctl._interpreter.asking import asks

pytestmark = pytest.mark.skipif(not asks(), reason="this process cannot ask its main thread")

ALARM = """
import gc, os, sys, threading, time
import gcctl
from gcctl._interpreter.asking import Alarm
from gcctl._process.twins import core

"""


def run(source: str, directory: Path) -> str:
    return run_program(WAITING + ALARM + source, directory)


def test_the_main_thread_answers(tmp_path: Path) -> None:
    source = """
answers = []
def answer(waited_ns):
    answers.append((threading.current_thread() is threading.main_thread(), waited_ns >= 0))
alarm = Alarm("PROFILE", answer)
alarm.set(core.now() + 20_000_000)
print(native_threads(), threading.active_count())
wait_until(lambda: answers)
wait_until(lambda: native_threads() == 1)
print(answers)
"""
    assert run(source, tmp_path) == "2 1\n[(True, True)]\n"


def test_an_alarm_may_be_moved_and_cleared(tmp_path: Path) -> None:
    source = """
answers = []
alarm = Alarm("PROFILE", answers.append)
hour = 3600 * 10**9
alarm.set(core.now() + hour)
time.sleep(0.01)
alarm.set(core.now())  # earlier: this wakes the thread
wait_until(lambda: answers)
alarm.set(core.now() + 50_000_000)
time.sleep(0.01)
alarm.set(core.now() + hour)
time.sleep(0.1)
alarm.clear()
alarm.set(core.now() + 50_000_000)
alarm.clear()
time.sleep(0.1)
print(len(answers))
wait_until(lambda: native_threads() == 1)
"""
    assert run(source, tmp_path) == "1\n"


def test_what_was_asked_before_its_end_is_not_answered(tmp_path: Path) -> None:
    source = """
answers = []
alarm = Alarm("PROFILE", answers.append)
def ask_and_end():
    time.sleep(0.1)  # until the main thread waits for this one
    alarm.set(core.now())
    time.sleep(0.1)
    alarm.end()
thread = threading.Thread(target=ask_and_end)
thread.start()
thread.join()
time.sleep(0.01)
print(answers)
alarm.set(core.now())
wait_until(lambda: answers)
"""
    assert run(source, tmp_path) == "[]\n"


def test_where_the_queue_is_full_it_asks_again(tmp_path: Path) -> None:
    source = """
import ctypes

add = ctypes.pythonapi.Py_AddPendingCall
add.argtypes = ctypes.c_void_p, ctypes.c_void_p
nothing = ctypes.cast(ctypes.pythonapi.PyErr_Occurred, ctypes.c_void_p)
answers, refused = [], []
alarm = Alarm("PROFILE", answers.append)
def fill():
    time.sleep(0.1)
    while add(nothing, None) == 0:
        pass
    alarm.set(core.now())
    time.sleep(0.05)
    refused.append(add(nothing, None))
thread = threading.Thread(target=fill)
thread.start()
thread.join()
wait_until(lambda: answers)
print(refused)
"""
    assert run(source, tmp_path) == "[-1]\n"


def test_what_goes_wrong_in_an_answer_is_a_fault(tmp_path: Path) -> None:
    source = """
faults = []
alarm = Alarm("PROFILE", {}.__getitem__, lambda: faults.append(sys.exc_info()[0]))
alarm.set(core.now())
wait_until(lambda: faults)
print(faults == [KeyError])
"""
    assert run(source, tmp_path) == "True\n"


def test_what_a_signal_handler_raises_in_an_answer_reaches_the_program(tmp_path: Path) -> None:
    source = """
import signal

class TooLong(Exception):
    pass
def handler(number, frame):
    raise TooLong
def answer(waited_ns):
    signal.raise_signal(signal.SIGALRM)
signal.signal(signal.SIGALRM, handler)
faults = []
alarm = Alarm("PROFILE", answer, lambda: faults.append(sys.exc_info()))
try:
    alarm.set(core.now())
    wait_until(lambda: False, 10)
except TooLong:
    print(faults)
"""
    assert run(source, tmp_path) == "[]\n"


def test_a_signal_that_the_program_waits_for_is_not_taken_from_it(tmp_path: Path) -> None:
    """It is blocked in all threads of the program, but was not yet when the thread was made."""
    source = """
import signal

with gcctl.hold("1h"):
    assert native_threads() == 2
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
    print(signal.sigwait({signal.SIGTERM}) == signal.SIGTERM)
"""
    assert run(source, tmp_path) == "True\n"


@needs_fork
class TestForks:
    def test_no_fork_warns_of_threads(self, tmp_path: Path) -> None:
        source = """
import subprocess, warnings
warnings.simplefilter("error")
with gcctl.hold("1h"):
    for _ in range(20):
        pid = os.fork()
        if not pid:
            os._exit(native_threads() != 1 or not gc.isenabled())
        assert os.waitpid(pid, 0)[1] == 0
        assert native_threads() == 2
    subprocess.run([sys.executable, "-c", ""], check=True, preexec_fn=int)
    pid, terminal = os.forkpty()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
print("done")
"""
        assert run(source, tmp_path) == "done\n"

    def test_an_alarm_goes_on_in_the_parent_and_ends_in_the_child(self, tmp_path: Path) -> None:
        source = """
answers = []
alarm = Alarm("PROFILE", answers.append)
alarm.set(core.now() + 100_000_000)
pid = os.fork()
if not pid:
    time.sleep(0.2)
    os._exit(len(answers) or native_threads() - 1)
wait_until(lambda: answers)
print(os.waitpid(pid, 0)[1])
"""
        assert run(source, tmp_path) == "0\n"

    def test_a_fork_of_a_c_library_leaves_the_child_without_alarms(self, tmp_path: Path) -> None:
        source = """
import ctypes

answers = []
alarm = Alarm("PROFILE", answers.append)
alarm.set(core.now() + 3600 * 10**9)
pid = ctypes.PyDLL(None).fork()
if not pid:
    assert native_threads() == 1
    alarm.set(core.now())
    wait_until(lambda: answers)
    os._exit(0)
print(os.waitpid(pid, 0)[1], native_threads())
"""
        assert run(source, tmp_path) == "0 2\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="os.unshare() is of CPython 3.12")
def test_what_wants_a_process_with_one_thread_has_it(tmp_path: Path) -> None:
    source = """
unshare = os.unshare
with gcctl.hold("1h"):
    assert native_threads() == 2
    unshare(os.CLONE_THREAD)  # fails where there are others
    assert native_threads() == 2
    for wrong in ((), ("1",), (1, 2)):
        try:
            unshare(*wrong)
        except TypeError as error:
            print(error)
"""
    out = run(source, tmp_path)
    assert "unshare() missing required argument 'flags' (pos 1)" in out


def test_uninstalling_puts_the_builtins_back(tmp_path: Path) -> None:
    source = """
import ctypes

def function_of(builtin):
    entry = ctypes.c_void_p.from_address(id(builtin) + 16).value
    return ctypes.c_void_p.from_address(entry + 8).value

before = function_of(os.fork)
for _ in range(2):
    gcctl.install()
    with gcctl.hold():
        within = function_of(os.fork)
    gcctl.uninstall()
    print(within != before, function_of(os.fork) == before, native_threads())
"""
    assert run(source, tmp_path) == "True True 1\n" * 2


class TestWithoutAnAnswer:
    """The main thread waits for another thread and runs no Python code."""

    def test_a_section_ends_at_its_deadline_all_the_same(self, tmp_path: Path) -> None:
        source = """
def work():
    with gcctl.hold("50ms"):
        assert not gc.isenabled()
        wait_until(gc.isenabled)
    with gcctl.hold("1h"):
        assert not gc.isenabled()
    print(gc.isenabled())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
        assert run(source, tmp_path) == "True\n"

    def test_where_automatic_gc_was_off_it_stays_off(self, tmp_path: Path) -> None:
        source = """
gc.disable()
def work():
    with gcctl.hold("1ms"):
        time.sleep(0.1)
        print(gc.isenabled())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
        assert run(source, tmp_path) == "False\n"

    def test_boundaries_collect_again(self, tmp_path: Path) -> None:
        source = """
def work():
    gcctl.install("production", check_interval="1ms")
    with gcctl.hold("1ms"):
        def collected():
            gcctl.tick()
            return gcctl.stats().collections
        wait_until(collected)
    print("collected")
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
        assert run(source, tmp_path) == "collected\n"

    def test_the_batch_of_a_thread_is_bounded_by_automatic_gc(self, tmp_path: Path) -> None:
        source = """
import resource
most = 400 * 2**20
gcctl.install("off", memory_limit=most)
def work():
    with gcctl.batch():
        for _ in range(1000):
            for _ in range(100):
                cycle = [bytes(10_000)]
                cycle.append(cycle)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < most * 1.5)
"""
        assert run(source, tmp_path) == "True\n"

    def test_and_left_alone_below_its_limit(self, tmp_path: Path) -> None:
        source = """
gcctl.install("off", memory_limit="1TiB", check_interval="1ms")
def work():
    with gcctl.batch():
        time.sleep(0.3)
        print(gc.isenabled())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
        assert run(source, tmp_path) == "False\n"


def test_no_thread_can_be_made(tmp_path: Path) -> None:
    """The section holds on; without its deadline, as nobody is there to see to it."""
    source = """
import resource
with gcctl.hold():
    pass
wait_until(lambda: native_threads() == 1)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
os.setuid(65534) if not os.getuid() else None
with gcctl.hold("1ms"):
    threads = native_threads()
print(threads, gc.isenabled())
"""
    assert run(source, tmp_path) == "1 True\n"
