"""The benchmark of the middleware runs; how fast anything is is not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paths import BENCH
from run_bench import bench

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/")


@pytest.mark.slow
def test_every_server_answers_in_every_variant(tmp_path: Path) -> None:
    for needed in ("gunicorn", "uvicorn"):
        pytest.importorskip(needed)
    file = tmp_path / "results.json"
    printed = bench("middleware", "--quick", "--json", str(file))
    rows = json.loads(file.read_text(encoding="utf-8"))
    servers = ("gunicorn sync", "gunicorn gthread", "uvicorn")
    assert [(row["server"], row["variant"]) for row in rows] == [
        (server, variant) for server in servers for variant in ("counted", "auto")
    ]
    assert min(row["requests_per_second"] for row in rows) > 0
    assert len(printed.splitlines()) == len(rows)
