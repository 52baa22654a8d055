"""Real processes: forked children that answer, and programs of their own."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from finalizer_threads import WATCH
from paths import SUPPORT

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

GCCTL_RUN = ("-m", "gcctl", "run")
"""Words for python, before a program that is to run under gcctl."""

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
        answer = "".join(WATCH.seen) or answer
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return answer


def run_program(source: str, directory: Path, *, words: Sequence[str] = (), status: int = 0) -> str:
    """The output of a program of its own, run where it can only import the installed package.

    `words`: for python, before the program. No finalizer of it may run in a thread that is not its
    own.
    """
    program = directory / "program.py"
    program.write_text(textwrap.dedent(source))
    elsewhere = directory / "finalizers-elsewhere"
    done = subprocess.run(
        [sys.executable, *words, program],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | watched_by(elsewhere),
    )
    assert done.returncode == status, done.stderr
    assert not elsewhere.exists(), elsewhere.read_text()[:2000]
    return done.stdout


def watched_by(report: Path) -> dict[str, str]:
    """For the environment of a program of its own: where its finalizers run is watched. Those in
    threads that are not the program's are written to `report`."""
    return {"PYTHONPATH": str(SUPPORT / "watched"), "FINALIZERS_ELSEWHERE": str(report)}


def wait_until(
    condition: Callable[[], object], what: str | Callable[[], str] = "it did not come true"
) -> None:
    """`what` to say when it never does; one that is called looks at that moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.001)
