"""The benchmarks of gunicorn's workers run, so that none of them rots."""

from __future__ import annotations

import json
import sys

import pytest
from paths import BENCH

pytest.importorskip("gunicorn")

from concurrent_collections import concurrent_only
from run_bench import bench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/"),
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from smaps_rollup"),
]


@concurrent_only
def test_memory_that_workers_share_stays_shared() -> None:
    assert bench("preload", "--quick").splitlines()[-1].endswith("yes")


@concurrent_only
def test_full_collections_overlap_without_the_token_only() -> None:
    rows = [line.split() for line in bench("staggering", "--quick").splitlines()]
    assert [row[-2] for row in rows if row[0] == "a"] == ["1"]


def test_the_soak() -> None:
    row = json.loads(bench("soak-gunicorn", "--requests", "500", "--workers", "2"))
    assert (row["requests"], row["failed"], row["counted_by_gcctl"]) == (500, 0, 500)
