"""Real processes: forked children that answer, and programs of their own."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

PATIENCE_SECONDS = 60
"""How long what is sure to come may take on a machine that is busy with something else."""


def in_child(work: Callable[[], object]) -> str:
    """repr() of what `work` returns or raises in a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        # One that hangs would be waited for without end; like this it says where, and dies.
        faulthandler.register(signal.SIGALRM, 2, chain=True)
        signal.alarm(PATIENCE_SECONDS)
        try:
            answer = repr(work())
        except BaseException as error:
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return answer


def run_program(source: str, directory: Path, *, status: int = 0) -> str:
    """The output of a program of its own, run where it can only import the installed package."""
    program = directory / "program.py"
    program.write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, program], cwd=directory, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def wait_until(
    condition: Callable[[], object], what: str | Callable[[], str] = "it did not come true"
) -> None:
    """`what` to say when it never does; one that is called looks at that moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.001)
