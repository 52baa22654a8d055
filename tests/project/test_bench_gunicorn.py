"""The benchmarks of gunicorn's workers run, so that none of them rots."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from paths import BENCH

pytest.importorskip("gunicorn")

from concurrent_collections import concurrent_only

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/"),
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from smaps_rollup"),
]


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCH / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@concurrent_only
def test_memory_that_workers_share_stays_shared() -> None:
    assert run("prefork.py", "--quick").splitlines()[-1].endswith("yes")


@concurrent_only
def test_full_collections_overlap_without_the_token_only() -> None:
    rows = [line.split() for line in run("staggered.py", "--quick").splitlines()]
    assert [row[-2] for row in rows if row[0] == "a"] == ["1"]


def test_the_soak() -> None:
    row = json.loads(run("soak_gunicorn.py", "--requests", "500", "--workers", "2"))
    assert (row["requests"], row["failed"], row["counted_by_gcctl"]) == (500, 0, 500)
