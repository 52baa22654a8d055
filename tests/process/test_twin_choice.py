"""Which twin is at work, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gcctl._process import twins

PROGRAM = "from gcctl._process import twins; print(twins.core.implementation, twins.reason)"


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("GCCTL_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=clean | environment,
        capture_output=True,
        text=True,
    )


def test_python_when_asked_for(tmp_path: Path) -> None:
    assert run(tmp_path, GCCTL_IMPL="python").stdout == "python python-asked-for\n"


def test_c_where_it_was_built(tmp_path: Path) -> None:
    pytest.importorskip("gcctl._core.compiled", reason="the compiled core is not installed")
    assert run(tmp_path).stdout == "c c-built\n"
    assert run(tmp_path, GCCTL_IMPL="c").stdout == "c c-asked-for\n"


def test_any_other_choice_is_an_error_that_names_it(tmp_path: Path) -> None:
    error = run(tmp_path, GCCTL_IMPL="rust").stderr
    assert "GCCTL_IMPL='rust': expected one of c, python, or nothing" in error


def test_the_whole_suite_runs_on_the_twin_that_was_asked_for() -> None:
    asked = os.environ.get("GCCTL_IMPL")
    assert asked in (None, "", twins.core.implementation)
