"""The watch over finalizers sees what it is there to see, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from finalizer_threads import ELSEWHERE, WATCH
from processes import needs_fork, run_program, watched_by

BEGINNING = """
import _thread, gc, os, subprocess, sys, threading, time

class Node:
    def __init__(self):
        self.itself = self

    def __del__(self):
        pass

ended = []

def work():
    Node()
    gc.collect()
    ended.append(True)

def start_as(module):
    names = {"__name__": module, "_thread": _thread, "work": work}
    exec("_thread.start_new_thread(work, ())", names)
    while not ended:
        time.sleep(0.001)
"""


def test_a_thread_that_gcctl_has_made_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=ELSEWHERE):
        run_program(f"{BEGINNING}start_as('gcctl.some.module')", tmp_path)


@pytest.mark.parametrize(
    "program",
    [
        "start_as('some.module')",
        "thread = threading.Thread(target=work); thread.start(); thread.join()",
        pytest.param(
            "print(os.waitpid(os.fork() or (work(), os._exit(0)), 0)[1])", marks=needs_fork
        ),
        "subprocess.run([sys.executable, '-c', 'pass'], check=True)",
    ],
    ids=["_thread", "threading", "fork", "another program"],
)
def test_threads_of_the_program_are_its_own(program: str, tmp_path: Path) -> None:
    run_program(BEGINNING + program, tmp_path)


def test_it_watches_the_suite_itself() -> None:
    names: dict[str, object] = {"__name__": __name__}
    exec(BEGINNING, names)
    exec("start_as('gcctl.some.module')", names)
    seen, WATCH.seen = WATCH.seen, []
    assert ELSEWHERE in seen[0]
    assert "in work" in seen[0], "where it was"


def test_the_environment_s_own_customization_is_run_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('customized')")
    environment = watched_by(tmp_path / "report")
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; print('finalizer_threads' in sys.modules)"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "customized\nTrue\n"
