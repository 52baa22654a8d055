"""`python -m bench suites`: tests that end otherwise under gcctl are found, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from paths import BENCH
from run_bench import start_bench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/"),
]

SUITE = """
import sys
from pathlib import Path

def test_passes():
    pass

def test_fails():
    assert False

def test_sees_gcctl():
    assert "gcctl" not in sys.modules

def test_fails_now_and_then():
    turns = Path(__file__).with_name("turns")
    with turns.open("a") as stream:
        stream.write("x")
    assert len(turns.read_text()) != 2  # which is the first turn under gcctl
"""

CRASHES = """
import os, sys

def test_crashes():
    if "gcctl" in sys.modules:
        os._exit(9)
"""


def found(folder: Path, source: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the results for a suite of one file."""
    (folder / "test_own.py").write_text(source)
    file = folder / "results.json"
    done = start_bench("suites", "--folder", str(folder), "--json", str(file))
    assert file.exists(), done.stderr
    (row,) = json.loads(file.read_text(encoding="utf-8"))["suites"]
    for entry in row["differences"] + row["changing"]:
        assert entry["test"] in done.stdout
    return done.returncode, row


def test_a_test_that_ends_otherwise_under_gcctl_is_found(tmp_path: Path) -> None:
    status, row = found(tmp_path, SUITE)
    assert (status, row["tests"]) == (1, 4)
    (different,) = row["differences"]
    assert different["test"].endswith("::test_sees_gcctl")
    assert (different["python"], different["gcctl"]) == (["passed"], ["failure"])
    (changing,) = row["changing"]
    assert changing["test"].endswith("::test_fails_now_and_then")


def test_a_suite_that_ends_alike_is_right(tmp_path: Path) -> None:
    status, row = found(tmp_path, "def test_passes(): pass\ndef test_fails(): assert False\n")
    assert (status, row["tests"], row["differences"], row["changing"]) == (0, 2, [], [])


def test_a_run_without_results_is_a_difference(tmp_path: Path) -> None:
    status, row = found(tmp_path, CRASHES)
    assert status == 1
    ends = {entry["test"]: entry["gcctl"] for entry in row["differences"]}
    assert ends["the run itself"] == ["ended with status 9 and no results"]
