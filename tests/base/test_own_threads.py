"""gcctl's threads, and forks in the middle of its imports."""

from __future__ import annotations

from pathlib import Path

from processes import needs_fork, run_program


def test_the_main_thread_stays_the_main_thread(tmp_path: Path) -> None:
    """Up to 3.12 the thread that imports `threading` counts as the main thread."""
    program = """
import sys, time
import gcctl
controller = gcctl.install("production", recycle_after_requests=1)
called = []
def callback(advice):
    import threading, logging
    called.append(advice)
controller.on_recycle(callback)
with gcctl.request():
    pass
until = time.monotonic() + 60
while not called and time.monotonic() < until:
    time.sleep(0.001)
import threading
def work():
    time.sleep(0.2)
    print("saved", flush=True)
threading.Thread(target=work).start()
print(threading.current_thread() is threading.main_thread())
"""
    assert run_program(program, tmp_path) == "True\nsaved\n"


@needs_fork
def test_a_fork_waits_for_an_import_in_another_thread(tmp_path: Path) -> None:
    program = """
import os, signal, threading, time
import gcctl
from gcctl._base.late import importing

begun, over = threading.Event(), []
def import_something():
    with importing:
        begun.set()
        time.sleep(0.2)
        over.append(True)
thread = threading.Thread(target=import_something)
thread.start()
begun.wait()
pid = os.fork()
if not pid:
    signal.alarm(30)
    gcctl.install("off")
    os._exit(0 if over else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread.join()
"""
    assert run_program(program, tmp_path) == "0\n"
