"""Memory where nobody can do idle work: no more than automatic GC alone would need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = float(os.environ.get("TEST_SECONDS", "20"))
"""Longer ones are for whoever changes the rules."""

MOST = 1.1
"""Times the peak memory of the program without gcctl."""

WORK = """
import collections, ctypes, random, resource, sys, threading, time

class Node:
    def __init__(self, size):
        self.me = self
        self.data = [[] for _ in range(size)]

def work(seconds, lives):
    # Some of the garbage lives long enough to be old before it dies.
    kept = collections.deque(maxlen=lives)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(200):
            node = Node(random.randrange(50))
            if random.random() < 0.2:
                kept.append(node)

seconds, lives = float(sys.argv[1]), int(sys.argv[2])
random.seed(1)
thread = threading.Thread(target=work, args=(seconds, lives))
thread.start()
"""
JOINS = "thread.join()\n"
SLEEPS = "ctypes.CDLL(None).usleep(ctypes.c_uint(int(seconds * 1e6)))\nthread.join()\n"
END = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"


def peak(directory: Path, source: str, lives: int, *prefix: str) -> int:
    program = directory / "program.py"
    program.write_text(WORK + source + END)
    command = [sys.executable, *prefix, str(program), str(SECONDS), str(lives)]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=SECONDS + 100, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("lives", [20_000, 60_000])
@pytest.mark.parametrize("source", [JOINS, SLEEPS], ids=["main joins", "main sleeps in C"])
def test_the_garbage_of_threads_while_the_main_thread_does_not_answer(
    tmp_path: Path, source: str, lives: int
) -> None:
    plain = peak(tmp_path, source, lives)
    controlled = peak(tmp_path, source, lives, "-m", "gcctl", "run")
    assert controlled <= plain * MOST
