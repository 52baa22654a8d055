"""Runs a benchmark as a user does: `python -m bench`, in the root of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys

from paths import ROOT


def start_bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Whatever comes of it."""
    return start_python("-m", "bench", *arguments, **environment)


def start_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Any python command in the root of the checkout."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def bench(*arguments: str) -> str:
    """What it prints; it must succeed."""
    done = start_bench(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bench_lines(*arguments: str) -> list[str]:
    """The lines that it prints, each run of spaces made one."""
    return [" ".join(line.split()) for line in bench(*arguments).splitlines()]
