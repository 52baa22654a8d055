"""What several programs of the tests begin with. They cannot import anything of the tests."""

from __future__ import annotations

WAITING = """
import os, time

def native_threads():
    return len(os.listdir("/proc/self/task"))

def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)
"""

CHILD = """
import os, sys

def child(work, fork=None):
    sys.stdout.flush()
    pid = (fork or FORK)()
    if not pid:
        status = 1
        try:
            work()
            sys.stdout.flush()
            status = 0
        finally:
            os._exit(status)
    assert not os.waitpid(pid, 0)[1]

FORK = os.fork
"""
