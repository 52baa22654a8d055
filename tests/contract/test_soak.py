"""Programs of several kinds run on, and finalizers run in their threads only.

`python -m bench soak-programs` has the programs, and runs them for longer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paths import BENCH
from run_bench import start_bench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/"),
]


PROGRAMS = [
    *((program, "run") for program in ("asyncio", "django", "tk", "qt", "joins", "sleeps")),
    *((program, "install") for program in ("asyncio", "django")),
]


@pytest.mark.parametrize(("program", "mode"), PROGRAMS)
def test_finalizers_run_in_threads_of_the_program(program: str, mode: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    options = ("--quick", "--only", program, "--modes", mode, "--json", str(file))
    done = start_bench("soak-programs", *options)
    results = json.loads(file.read_text(encoding="utf-8"))
    if results["left_out"]:
        pytest.skip(results["left_out"][program])
    assert done.returncode == 0, done.stdout
    (row,) = results["runs"]
    assert row["finalized"] >= row["made"] / 2 > 100
